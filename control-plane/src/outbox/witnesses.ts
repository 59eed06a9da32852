import type { OutboxCursor } from '../domain/outbox.ts'
import type { EncodedEvent } from './cloud-event.ts'
import { deliverable, type LogEntry } from './log-window.ts'

export interface WitnessesOptions {
  /** What follows in the log; empty: it ends there. */
  readonly read: (after: OutboxCursor) => Promise<readonly LogEntry[]>
}

/** Pages read for one answer. */
const pageLimit = 10

/**
 * Finds events to compare a suspected one with: of other aggregates, of each the first that waits, so that an early
 * delivery changes no order. One is asked again until it fails; then the next one, further and further down the log,
 * and from the beginning again when it ends: events that came meanwhile are found, too.
 */
export class Witnesses {
  readonly #options: WitnessesOptions
  #culprit: string | null = null
  #present: EncodedEvent | null = null
  /** Aggregates that were asked, or come before in the log. */
  readonly #seen = new Set<string>()
  /** What was read and not looked at, and where it ends. */
  #rest: readonly LogEntry[] = []
  #end: OutboxCursor | null = null

  constructor(options: WitnessesOptions) {
    this.#options = options
  }

  /** `entries` begin with the suspected event. null: there is nothing to compare it with, now. Rejects as `read`. */
  async next(entries: readonly LogEntry[], parked: ReadonlySet<string>): Promise<EncodedEvent | null> {
    const [culprit] = entries
    if (culprit === undefined) return null
    const id = culprit.encoded?.event.id ?? null
    if (id !== this.#culprit || this.#end === null) {
      this.#begin(culprit, entries)
      this.#culprit = id
    }
    this.#present ??= await this.#find(parked)
    return this.#present
  }

  /** The sink did not take it either. */
  failed(): void {
    this.#present = null
  }

  #begin(culprit: LogEntry, entries: readonly LogEntry[]): void {
    this.#present = null
    this.#seen.clear()
    this.#seen.add(culprit.aggregate)
    this.#rest = entries
    this.#end = entries.at(-1)?.after ?? culprit.after
  }

  async #find(parked: ReadonlySet<string>): Promise<EncodedEvent | null> {
    for (let pages = 0; this.#end !== null; pages += 1) {
      for (const [index, entry] of this.#rest.entries()) {
        const event = this.#seen.has(entry.aggregate) ? null : deliverable(entry, parked)
        if (event === null) continue
        this.#seen.add(entry.aggregate)
        this.#rest = this.#rest.slice(index + 1)
        return event
      }
      this.#rest = []
      if (pages === pageLimit) return null
      this.#rest = await this.#options.read(this.#end)
      this.#end = this.#rest.at(-1)?.after ?? null
    }
    return null
  }
}
