import { stableHash } from './hash.ts'

/** Where in its interval (ms from its start, below it) a check runs: spread by a hash, equal on every replica. */
export const phaseOf = (key: string, intervalMs: number): number => stableHash(key) % intervalMs

/**
 * Milliseconds until the next moment that is `phaseMs` into an interval, but at least half an interval from
 * now: checks that began together drift apart within one round and then keep their pace.
 */
export const delayToPhase = (nowMs: number, phaseMs: number, intervalMs: number): number => {
  const into = (((nowMs - phaseMs) % intervalMs) + intervalMs) % intervalMs
  const delay = intervalMs - into
  return delay < intervalMs / 2 ? delay + intervalMs : delay
}
