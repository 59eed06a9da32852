import { fileURLToPath } from 'node:url'
import { runCommand } from '@waymark/deploy/local/run-command.ts'
import { childEnv } from './child-env.ts'

const entry = fileURLToPath(new URL('../../control-plane/bin/waymark.mjs', import.meta.url))

/** Runs the `waymark` command against the replica with this URL; a run may take `timeoutMs`. */
export const waymarkWithin =
  (timeoutMs: number) =>
  (url: string, ...args: string[]) => {
    const env = childEnv({ WAYMARK_API: url })
    return runCommand({ command: process.execPath, args: [entry, ...args], env, timeoutMs })
  }
