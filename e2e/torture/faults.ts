import { randomFrom } from '../harness/random.ts'

export const faultKinds = [
  'kill a replica',
  'pause a replica',
  'restart Postgres',
  'kill Postgres',
  'drop connections',
] as const
type FaultKind = (typeof faultKinds)[number]

/** One fault; times in milliseconds from the begin of the run. */
export interface Fault {
  readonly kind: FaultKind
  readonly atMs: number
  /** How long it lasts. */
  readonly forMs: number
  /** Which of them, where there are several: 0 to 1. */
  readonly pick: number
}

/**
 * What goes wrong when. The same seed gives the same faults, and a longer run begins like a shorter one. Every kind
 * comes once before one comes again; a fault begins after the one before has ended.
 */
export const scheduleFaults = (seed: number, durationMs: number): Fault[] => {
  const random = randomFrom(seed)
  const faults: Fault[] = []
  let waiting: FaultKind[] = []
  for (let atMs = 0; ;) {
    if (waiting.length === 0) waiting = [...faultKinds]
    atMs += Math.round(200 + random() * 800)
    const [kind = 'drop connections'] = waiting.splice(Math.floor(random() * waiting.length), 1)
    const forMs = kind === 'drop connections' ? 0 : Math.round(100 + random() * 900)
    const pick = random()
    if (atMs + forMs >= durationMs) return faults
    faults.push({ kind, atMs, forMs, pick })
    atMs += forMs
  }
}
