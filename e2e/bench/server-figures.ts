import { readdirSync, readFileSync } from 'node:fs'

/** Ticks of /proc/PID/stat per second: 100 on every Linux that Node runs on. */
const ticksPerSecond = 100

/** /proc/PID/stat from its third field on: the name before, in parentheses, may hold spaces. */
const statOf = (pid: number): string[] => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** User and system time of a process so far (ms), in steps of 10 ms; Linux only. */
export const processCpuMs = (pid: number): number => {
  // utime and stime are fields 14 and 15.
  const fields = statOf(pid)
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / ticksPerSecond
}

/** As `processCpuMs`, with the processes that it has started and that still run. */
export const familyCpuMs = (pid: number): number => {
  let ms = processCpuMs(pid)
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      // The parent is field 4.
      if (Number(statOf(Number(name))[1]) === pid) ms += processCpuMs(Number(name))
    } catch {
      // It has ended.
    }
  }
  return ms
}

/** Resident memory of a process in bytes; Linux only. */
export const residentBytes = (pid: number): number => {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1_024
}

/** Open files that a process of this user may have; NaN where that is not known. */
const openFileLimit = (): number => {
  try {
    return Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1])
  } catch {
    return Number.NaN
  }
}

/** Throws when a process could not hold so many connections. */
export const checkOpenFiles = (connections: number): void => {
  const limit = openFileLimit()
  const needed = connections + 200
  if (limit < needed)
    throw new Error(
      `this needs ${needed} open files in one process, but only ${limit} are allowed: raise the limit ` +
        `(ulimit -n ${needed}), or run it with --small`,
    )
}

/** A replica's metrics, the labels as they are written: `waymark_xds_answers_total{answer="ack"}`. */
export class ServerMetrics {
  readonly #values = new Map<string, number>()

  private constructor(text: string) {
    for (const line of text.split('\n')) {
      const match = /^([a-zA-Z_:][\w:]*)(\{[^}]*\})? (\S+)/.exec(line)
      if (match?.[1] !== undefined) this.#values.set(match[1] + (match[2] ?? ''), Number(match[3]))
    }
  }

  static async read(url: string): Promise<ServerMetrics> {
    const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(30_000) })
    if (!response.ok) throw new Error(`/metrics was answered with ${response.status}`)
    return new ServerMetrics(await response.text())
  }

  /** The sum of the series of this name whose labels contain `label`. */
  get(name: string, label = ''): number {
    let sum = 0
    let found = false
    for (const [series, value] of this.#values) {
      if (series !== name && !series.startsWith(`${name}{`)) continue
      if (!series.includes(label)) continue
      found = true
      sum += value
    }
    if (!found) throw new Error(`there is no metric ${name}`)
    return sum
  }
}

/** Asks until `done`, at most `timeoutMs` long; resolves with when it was (`performance.now`). */
export const until = async (
  what: string,
  done: () => Promise<boolean>,
  { everyMs = 20, timeoutMs = 60_000 } = {},
): Promise<number> => {
  const started = performance.now()
  while (!(await done())) {
    if (performance.now() - started > timeoutMs) throw new Error(`${what}: not within ${timeoutMs} ms`)
    await new Promise(resolve => setTimeout(resolve, everyMs))
  }
  return performance.now()
}
