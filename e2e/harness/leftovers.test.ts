import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, realpath, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { eventually } from './eventually.ts'
import { listLeftovers } from './leftovers.ts'

const guard = fileURLToPath(new URL('run-guard-process.ts', import.meta.url))

const started = async (args: readonly string[], env: NodeJS.ProcessEnv): Promise<ChildProcess> => {
  const child = spawn(process.execPath, args, { detached: true, stdio: ['pipe', 'pipe', 'ignore'], env })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  await once(child, 'spawn')
  return child
}

const hasSpoken = async ({ stdout }: ChildProcess): Promise<void> => {
  if (stdout !== null) await once(stdout, 'data')
}

const idle = ['--eval', "process.on('SIGINT', () => {}); setInterval(() => {}, 1_000); console.log('up')"]

// What a process was started with can be read by others on Linux only.
test.skipIf(process.platform !== 'linux')(
  'what a killed run has left is ended and removed, also what stands still or does not want to end',
  async () => {
    const directory = await realpath(await mkdtemp(join(tmpdir(), 'waymark-left-')))
    await writeFile(join(directory, 'file'), '')
    const [byName, standing, stranger] = await Promise.all([
      started([...idle, join(directory, 'config')], {}),
      started(idle, { TMPDIR: directory }),
      started(idle, {}),
    ])
    await Promise.all([byName, standing, stranger].map(hasSpoken))
    standing.kill('SIGSTOP')
    const left = await listLeftovers(directory)
    expect(left.map(line => line.split(':')[0]).sort()).toEqual(
      [join(directory, 'file'), `process ${byName.pid ?? 0}`, `process ${standing.pid ?? 0}`].sort(),
    )

    const ended = Promise.all([byName, standing].map(child => once(child, 'exit')))
    const watching = await started(['--disable-warning=ExperimentalWarning', guard, directory], process.env)
    const guarded = once(watching, 'exit')
    watching.stdin?.end()
    await Promise.all([ended, guarded])
    await eventually('the directory to be gone', () => !existsSync(directory))
    expect(stranger.exitCode).toBe(null)
    expect(await listLeftovers(directory)).toEqual([])
  },
)
