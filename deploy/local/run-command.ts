import { spawn } from 'node:child_process'

export interface RunCommandOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly uid?: number
  readonly gid?: number
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number
}

export interface CommandResult {
  /** null when the command could not be started, or was ended by a signal. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  /** Why the command could not be started (`ENOENT`: there is no such command, `EACCES`), else null. */
  readonly failure: string | null
}

const longest = 256 * 1_024

/**
 * Runs a command to its end, in a process group of its own so that Ctrl-C reaches it through `signal` only.
 * Never rejects for a failing command; rejects with the reason of `signal` after the command has ended.
 */
export const runCommand = async (options: RunCommandOptions): Promise<CommandResult> => {
  const { command, args, signal, timeoutMs = 600_000, uid, gid } = options
  signal?.throwIfAborted()
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: options.env ?? process.env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout = (stdout + chunk).slice(-longest)
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr = (stderr + chunk).slice(-longest)
  })
  const end = (): void => {
    if (child.pid === undefined) return
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      // it has ended by itself
    }
  }
  signal?.addEventListener('abort', end)
  const timer = setTimeout(end, timeoutMs)
  try {
    const result = await new Promise<CommandResult>(resolve => {
      child.once('error', (error: NodeJS.ErrnoException) => {
        resolve({ code: null, stdout, stderr, failure: error.code ?? error.message })
      })
      child.once('close', code => {
        resolve({ code, stdout, stderr, failure: null })
      })
    })
    signal?.throwIfAborted()
    return result
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', end)
  }
}
