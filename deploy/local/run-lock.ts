import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { identifyProcess, isSameProcess, type ProcessIdentity } from './process-identity.ts'
import { UserError } from './user-error.ts'
import { waitFor, WaitTimeoutError } from './wait.ts'

/** One process of a run, as `{dataDir}/run.json` keeps it. */
export interface RecordedProcess extends ProcessIdentity {
  readonly name: string
}

export interface RunLock {
  /** Replaces what the next run would have to clean up after a crash of this one. */
  record(processes: readonly RecordedProcess[]): void
  release(): void
}

const isIdentity = (value: unknown): value is ProcessIdentity =>
  typeof value === 'object' &&
  value !== null &&
  'pid' in value &&
  Number.isInteger(value.pid) &&
  'started' in value &&
  typeof value.started === 'string'

const isRecorded = (value: unknown): value is RecordedProcess =>
  isIdentity(value) && 'name' in value && typeof value.name === 'string'

const readJson = (path: string): unknown => {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return null
  }
}

/** The processes of `run.json` that still run: same pid and same start time, so never somebody else's. */
export const survivors = (
  recorded: unknown,
  runs: (identity: ProcessIdentity) => boolean,
): RecordedProcess[] => (Array.isArray(recorded) ? recorded.filter(isRecorded).filter(runs) : [])

const endAll = async (orphans: readonly RecordedProcess[]): Promise<void> => {
  for (const [signal, timeoutMs] of [
    ['SIGINT', 3_000],
    ['SIGKILL', 5_000],
  ] as const) {
    const left = orphans.filter(isSameProcess)
    for (const { pid } of left) {
      try {
        process.kill(pid, signal)
      } catch {
        // it has just ended
      }
    }
    try {
      await waitFor(() => !left.some(isSameProcess), { what: 'the last run to end', timeoutMs })
    } catch (error) {
      if (!(error instanceof WaitTimeoutError)) throw error
    }
  }
}

/** A link is made with its content or not at all, and by one process only. */
const tryLink = (own: string, lock: string): boolean => {
  try {
    linkSync(own, lock)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

/** Takes a stale lock away. If another run was faster and the lock is its own by now, it gets it back. */
const setAside = (lock: string, aside: string): void => {
  try {
    renameSync(lock, aside)
  } catch {
    return // another run took it away
  }
  const owner = readJson(aside)
  if (isIdentity(owner) && isSameProcess(owner)) tryLink(aside, lock)
  rmSync(aside, { force: true })
}

/** True when the lock is ours now; a stale one is taken out of the way for the next attempt. */
const take = (own: string, lock: string, pid: number): boolean => {
  if (tryLink(own, lock)) return true
  const owner = readJson(lock)
  if (!isIdentity(owner) || !isSameProcess(owner)) setAside(lock, `${lock}.stale.${pid}`)
  return tryLink(own, lock)
}

export interface ClaimOptions {
  readonly dataDir: string
  readonly signal?: AbortSignal
  /** How long a run that may just be ending is waited for. */
  readonly patienceMs?: number
  readonly onNotice: (text: string) => void
}

/**
 * Makes this process the only run on `dataDir`, and ends what a killed run left behind. Rejects with a
 * `UserError` when another run is alive and stays so.
 */
export const claimDataDir = async ({
  dataDir,
  onNotice,
  signal,
  patienceMs = 5_000,
}: ClaimOptions): Promise<RunLock> => {
  await mkdir(dataDir, { recursive: true })
  const me = identifyProcess(process.pid)
  if (me === null) throw new Error('This process cannot find itself among the processes of the system')
  const lock = join(dataDir, 'run.lock')
  const own = `${lock}.${me.pid}.${randomBytes(4).toString('hex')}`
  const journal = join(dataDir, 'run.json')
  writeFileSync(own, JSON.stringify(me))
  try {
    await waitFor(() => take(own, lock, me.pid), {
      what: 'the data directory',
      timeoutMs: patienceMs,
      signal,
    })
  } catch (error) {
    if (!(error instanceof WaitTimeoutError)) throw error
    const owner = readJson(lock)
    throw new UserError(
      `Another "npm run up"${isIdentity(owner) ? ` (pid ${owner.pid})` : ''} uses the data directory ${dataDir}.`,
      ['Stop it first, or give this one a directory of its own: WAYMARK_DATA_DIR=.waymark-2 npm run up'],
    )
  } finally {
    rmSync(own, { force: true })
  }
  const orphans = survivors(readJson(journal), isSameProcess)
  if (orphans.length > 0) {
    onNotice(`the last run was killed and left ${orphans.map(({ name }) => name).join(', ')}: stopping them`)
    await endAll(orphans)
  }
  const record = (processes: readonly RecordedProcess[]): void => {
    writeFileSync(`${journal}.new`, JSON.stringify(processes))
    renameSync(`${journal}.new`, journal)
  }
  record([])
  return {
    record,
    release: () => {
      rmSync(journal, { force: true })
      rmSync(lock, { force: true })
    },
  }
}
