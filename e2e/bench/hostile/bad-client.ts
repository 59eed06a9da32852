import type { Address } from '../generator/fleet.ts'

/** What bad clients have seen so far: words that count, for instance `status 8` -> 3. */
export type BadCounts = Record<string, number>

/**
 * One kind of bad client. It runs in a process of its own, begins when it is made and goes on until `stop`. It
 * bounds itself: a kind that opens streams says how many at most.
 */
export interface BadClients {
  readonly counts: BadCounts
  stop(): void
}

export interface BadClientOptions {
  readonly address: Address
  /** A service of the mesh that has endpoints which change. */
  readonly service: string
}

export interface BadClientKind {
  /** For the table: what they do, and how many there are. */
  readonly what: string
  /** They run on a host of their own, whose cable is pulled once they have begun. */
  readonly vanishes?: boolean
  start(options: BadClientOptions): BadClients
}

export const count = (counts: BadCounts, what: string, by = 1): void => {
  counts[what] = (counts[what] ?? 0) + by
}
