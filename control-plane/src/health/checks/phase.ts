import { stableHash } from './hash.ts'

/** Where in its interval (ms from its start, below it) a check runs: spread by a hash, equal on every replica. */
export const phaseOf = (key: string, intervalMs: number): number => stableHash(key) % intervalMs

const untilPhase = (nowMs: number, phaseMs: number, intervalMs: number): number =>
  intervalMs - ((((nowMs - phaseMs) % intervalMs) + intervalMs) % intervalMs)

/**
 * Milliseconds until the next moment that is `phaseMs` into an interval, but at least half an interval from
 * now: checks that began together drift apart within one round and then keep their pace.
 */
export const delayToPhase = (nowMs: number, phaseMs: number, intervalMs: number): number => {
  const delay = untilPhase(nowMs, phaseMs, intervalMs)
  return delay < intervalMs / 2 ? delay + intervalMs : delay
}

/** A new instance gets its first probe within this time (ms), spread by its phase. */
const firstWithinMs = 1_000

/** Milliseconds until the first probe. Of a check that another replica has run so far: within one interval. */
export const firstDelay = (options: {
  readonly nowMs: number
  readonly phaseMs: number
  readonly intervalMs: number
  /** The instance is new. */
  readonly fresh: boolean
}): number => {
  const { nowMs, phaseMs, intervalMs, fresh } = options
  return fresh ? phaseMs % Math.min(intervalMs, firstWithinMs) : untilPhase(nowMs, phaseMs, intervalMs)
}
