import { execFileSync } from 'node:child_process'
import { readFileSync, readlinkSync, readdirSync } from 'node:fs'

/** Tells a process from another that later got the same pid. */
export interface ProcessIdentity {
  readonly pid: number
  /** When it started, as the system tells it; opaque, compared for equality only. */
  readonly started: string
}

const quietly = <T>(read: () => T): T | null => {
  try {
    return read()
  } catch {
    return null
  }
}

const linux = process.platform === 'linux'

const ps = (pid: number, column: string): string | null =>
  quietly(() =>
    execFileSync('ps', ['-o', `${column}=`, '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim(),
  )

/**
 * The fields of `/proc/{pid}/stat` behind the command (which may itself contain spaces and brackets):
 * state first, start time in clock ticks since boot at index 19 (field 22 of proc(5)).
 */
export const parseProcStat = (stat: string): { readonly state: string; readonly started: string } | null => {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, started] = [fields[0], fields[19]]
  return state === undefined || started === undefined ? null : { state, started }
}

/** null when no such process runs; a zombie has ended and does not count. */
export const identifyProcess = (pid: number): ProcessIdentity | null => {
  if (!linux) {
    const started = ps(pid, 'lstart')
    return started === null || started === '' ? null : { pid, started }
  }
  const stat = quietly(() => parseProcStat(readFileSync(`/proc/${pid}/stat`, 'utf8')))
  if (stat === null || stat.state === 'Z' || stat.state === 'X') return null
  const boot = quietly(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()) ?? 'boot'
  return { pid, started: `${boot}/${stat.started}` }
}

export const isSameProcess = (identity: ProcessIdentity): boolean =>
  identifyProcess(identity.pid)?.started === identity.started

/** The command line of a running process, its arguments joined by spaces; null when it cannot be read. */
export const commandLine = (pid: number): string | null => {
  if (identifyProcess(pid) === null) return null
  return linux
    ? quietly(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim())
    : ps(pid, 'command')
}

/** Running processes whose working directory is `directory`. Empty where the system does not tell. */
export const processesIn = (directory: string): number[] =>
  (quietly(() => readdirSync('/proc')) ?? [])
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(
      pid => quietly(() => readlinkSync(`/proc/${pid}/cwd`)) === directory && identifyProcess(pid) !== null,
    )
