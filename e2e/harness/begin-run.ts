import { spawn } from 'node:child_process'
import { realpath } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'
import { eventually } from './eventually.ts'
import { listLeftovers } from './leftovers.ts'
import { makePublicDirectory } from './public-directory.ts'

const guard = fileURLToPath(new URL('run-guard-process.ts', import.meta.url))
const marker = 'WAYMARK_TEST_RUN'

/** What ends a moment after the tests: the workers that ran them. */
const settleMs = 5_000

/**
 * Makes the directory of a test run, in which all temporary files lie, and starts the process that cleans up when the
 * run is killed. A run that ends by itself and has left something behind fails. Projects share the run of the first.
 */
export const setup = async ({ vitest }: TestProject): Promise<void> => {
  if (process.env[marker] !== undefined || process.env['WAYMARK_KEEP_TEST_LOGS'] !== undefined) return
  const directory = await realpath(await makePublicDirectory('waymark-run-'))
  process.env[marker] = directory
  process.env['TMPDIR'] = directory
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', guard, directory], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  child.unref()
  vitest.onClose(async () => {
    try {
      await eventually(
        'the test run to leave nothing behind',
        async () => {
          const left = await listLeftovers(directory, child.pid)
          if (left.length > 0) throw new Error(left.join('; '))
          return true
        },
        settleMs,
      )
    } finally {
      child.stdin.end()
    }
  })
}
