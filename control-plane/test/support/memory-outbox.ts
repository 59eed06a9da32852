import type { ChangeSet } from '../../src/domain/change.ts'
import { CompactedError } from '../../src/domain/revision.ts'
import type { FencedSink, OutboxCursor, OutboxStore, ParkedEvent } from '../../src/outbox/outbox-store.ts'

/**
 * The log and the outbox's tables of one sink in memory, for properties over many histories. Held to the same
 * contract as the tables in Postgres (outbox-store.contract.ts).
 */
export class MemoryOutbox implements OutboxStore {
  sets: readonly ChangeSet[] = []
  /** Revisions before this one are gone. */
  oldest = 1
  #cursor: OutboxCursor | null = null
  #fence = 0
  #parked: ParkedEvent[] = []

  get head(): number {
    return this.sets.at(-1)?.revision ?? 0
  }

  get cursor(): OutboxCursor | null {
    return this.#cursor
  }

  get parked(): readonly ParkedEvent[] {
    return this.#parked
  }

  readChanges({
    after,
    limit,
  }: {
    after: number
    limit: number
  }): Promise<{ sets: ChangeSet[]; head: number }> {
    if (this.head > after && after + 1 < this.oldest) {
      return Promise.reject(new CompactedError(after + 1, this.oldest))
    }
    const sets = this.sets.filter(({ revision }) => revision > after && revision <= after + limit)
    return Promise.resolve({ sets, head: this.head })
  }

  claim({ fence, start }: FencedSink & { start: 'oldest' | 'now' }): Promise<OutboxCursor | null> {
    if (fence < this.#fence) return Promise.resolve(null)
    this.#fence = fence
    this.#cursor ??= { revision: start === 'now' ? this.head : this.oldest - 1, position: 0 }
    return Promise.resolve(this.#cursor)
  }

  advance({
    fence,
    to,
    park,
  }: FencedSink & { to: OutboxCursor; park: readonly ParkedEvent[] }): Promise<boolean> {
    return this.#fenced(fence, () => {
      this.#cursor = to
      const known = new Set(this.#parked.map(({ id }) => id))
      this.#parked.push(...park.filter(({ id }) => !known.has(id)))
      this.#parked.sort((a, b) => a.revision - b.revision || a.position - b.position)
    })
  }

  parkedAggregates(): Promise<{ aggregates: string[]; events: number }> {
    const aggregates = new Set(this.#parked.map(event => `${event.aggregateType}/${event.aggregateId}`))
    return Promise.resolve({ aggregates: [...aggregates], events: this.#parked.length })
  }

  parkedHeads({ limit }: { limit: number }): Promise<ParkedEvent[]> {
    const heads = new Map<string, ParkedEvent>()
    for (const event of this.#parked) {
      const aggregate = `${event.aggregateType}/${event.aggregateId}`
      if (!heads.has(aggregate)) heads.set(aggregate, event)
    }
    return Promise.resolve([...heads.values()].sort((a, b) => a.attempts - b.attempts).slice(0, limit))
  }

  parkedOf(
    query: { limit: number } & Pick<ParkedEvent, 'aggregateType' | 'aggregateId'>,
  ): Promise<ParkedEvent[]> {
    const own = this.#parked.filter(
      event => event.aggregateType === query.aggregateType && event.aggregateId === query.aggregateId,
    )
    return Promise.resolve(own.slice(0, query.limit))
  }

  unpark({ fence, id }: FencedSink & { id: string }): Promise<boolean> {
    return this.#fenced(fence, () => {
      this.#parked = this.#parked.filter(event => event.id !== id)
    })
  }

  refused({ fence, id, error }: FencedSink & { id: string; error: string }): Promise<boolean> {
    return this.#fenced(fence, () => {
      this.#parked = this.#parked.map(event =>
        event.id === id ? { ...event, error, attempts: event.attempts + 1 } : event,
      )
    })
  }

  progress(): Promise<{ cursor: OutboxCursor | null; head: number; parked: number }> {
    return Promise.resolve({ cursor: this.#cursor, head: this.head, parked: this.#parked.length })
  }

  #fenced(fence: number, work: () => void): Promise<boolean> {
    if (this.#cursor === null || fence !== this.#fence) return Promise.resolve(false)
    work()
    return Promise.resolve(true)
  }
}
