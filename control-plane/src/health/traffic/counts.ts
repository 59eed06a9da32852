/** Requests that have ended; not whole once they have decayed. A failed connection counts as failed. */
export interface Counts {
  readonly ok: number
  readonly failed: number
}

export const noRequests: Counts = { ok: 0, failed: 0 }

export const addUp = (a: Counts, b: Counts): Counts => ({ ok: a.ok + b.ok, failed: a.failed + b.failed })

export const volume = ({ ok, failed }: Counts): number => ok + failed

/** 0 to 1; 0 of nothing. */
export const failureShare = (counts: Counts): number =>
  counts.failed === 0 ? 0 : counts.failed / volume(counts)

/** What is left of counts after `ms`: each half-life takes half. */
export const decayed = ({ ok, failed }: Counts, ms: number, halfLifeMs: number): Counts => {
  const left = 2 ** (-Math.max(0, ms) / halfLifeMs)
  return { ok: ok * left, failed: failed * left }
}

/** Less than this is left of a request that is one half-life old: whoever made it is idle. */
export const leastVolume = 0.5
