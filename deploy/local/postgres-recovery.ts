import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { commandLine, identifyProcess, processesIn } from './process-identity.ts'
import { waitFor, WaitTimeoutError } from './wait.ts'

/** The first lines of `postmaster.pid` (PostgreSQL's `pidfile.h`): pid, data directory, start time, port. */
export interface PostmasterFile {
  readonly pid: number
  readonly directory: string
  readonly port: number
}

export const parsePostmasterFile = (text: string): PostmasterFile | null => {
  const [pid, directory, , port] = text.split('\n').map(line => line.trim())
  if (pid === undefined || directory === undefined || !/^-?\d+$/.test(pid)) return null
  return { pid: Math.abs(Number(pid)), directory, port: Number(port) || 0 }
}

/**
 * What to do about a postmaster file that an earlier run left behind. `stop`: that very server still runs.
 * `discard`: its process has ended; whoever has the pid now is not it. Postgres itself would refuse to start
 * where the pid is taken by any process, also a zombie.
 */
export const judgePostmaster = (
  file: PostmasterFile,
  directory: string,
  command: string | null,
): 'stop' | 'discard' =>
  command !== null && file.directory === directory && command.includes(` -D ${directory} `)
    ? 'stop'
    : 'discard'

/** Asks for an orderly end first (SIGINT, "fast"), then an immediate one (SIGQUIT), then does not ask. */
export const stopPostmaster = async (pid: number, graceMs = 10_000): Promise<void> => {
  for (const [signal, timeoutMs] of [
    ['SIGINT', graceMs],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ] as const) {
    try {
      process.kill(pid, signal)
    } catch {
      return // it has ended
    }
    try {
      await waitFor(() => identifyProcess(pid) === null, { what: `Postgres ${pid} to end`, timeoutMs })
      return
    } catch (error) {
      if (!(error instanceof WaitTimeoutError)) throw error
    }
  }
}

/** Backends notice within moments that their postmaster is gone; a new one must not start before. */
export const waitForBackends = async (directory: string): Promise<void> => {
  await waitFor(() => processesIn(directory).length === 0, {
    what: `the processes of the last Postgres in ${directory} to end`,
    timeoutMs: 10_000,
  })
}

/** Brings a data directory that an earlier run may have left in any state to one where Postgres can start. */
export const recoverDataDirectory = async (
  directory: string,
  onNotice: (text: string) => void,
): Promise<void> => {
  const path = join(directory, 'postmaster.pid')
  const text = await readFile(path, 'utf8').catch(() => null)
  const file = text === null ? null : parsePostmasterFile(text)
  if (text === null) return
  if (file !== null && judgePostmaster(file, directory, commandLine(file.pid)) === 'stop') {
    onNotice(`Postgres of the last run still runs (pid ${file.pid}): stopping it`)
    await stopPostmaster(file.pid)
  }
  await waitForBackends(directory)
  await rm(path, { force: true })
}
