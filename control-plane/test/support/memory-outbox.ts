import type { ChangeSet } from '../../src/domain/change.ts'
import { CompactedError } from '../../src/domain/revision.ts'
import type { OutboxCursor, ParkedEvent, SinkHold } from '../../src/domain/outbox.ts'
import type {
  Claim,
  OutboxLog,
  OutboxPage,
  OutboxStore,
  PageRequest,
  SinkGap,
  SinkProgress,
} from '../../src/outbox/outbox-store.ts'
import { toLogged } from './changes.ts'

/**
 * The log and the outbox's tables of one sink in memory, for properties over many histories. Held to the same
 * contract as the tables in Postgres (outbox-store.contract.ts).
 */
export class MemoryOutbox implements OutboxStore, OutboxLog {
  sets: readonly ChangeSet[] = []
  /** Revisions before this one are gone. */
  oldest = 1
  #cursor: OutboxCursor | null = null
  #fence = 0
  #epoch = 0
  paused = false
  #parked: ParkedEvent[] = []
  #gap: SinkGap | null = null

  get head(): number {
    return this.sets.at(-1)?.revision ?? 0
  }

  get cursor(): OutboxCursor | null {
    return this.#cursor
  }

  get parked(): readonly ParkedEvent[] {
    return this.#parked
  }

  read({ hold, after, limit }: PageRequest): Promise<OutboxPage> {
    if (this.head > after.revision && after.revision + 1 < this.oldest) {
      return Promise.reject(new CompactedError(after.revision + 1, this.oldest))
    }
    const changes = this.sets
      .flatMap(toLogged)
      .filter(
        ({ revision, position }) =>
          revision > after.revision + 1 || (revision === after.revision + 1 && position >= after.position),
      )
    return Promise.resolve({ changes: changes.slice(0, limit), head: this.head, held: this.#holds(hold) })
  }

  claim({ fence, start }: { fence: number; start: 'oldest' | 'now' }): Promise<Claim | null> {
    if (fence < this.#fence) return Promise.resolve(null)
    this.#fence = fence
    this.#cursor ??= { revision: start === 'now' ? this.head : this.oldest - 1, position: 0 }
    return Promise.resolve({ cursor: this.#cursor, epoch: this.#epoch, paused: this.paused })
  }

  /** What an operator does: another cursor, a pause. */
  wish({
    cursor = this.#cursor,
    paused = this.paused,
  }: {
    cursor?: OutboxCursor | null
    paused?: boolean
  }): void {
    this.#cursor = cursor
    this.paused = paused
    this.#epoch += 1
  }

  /** What a backup does that is put in place of the database. */
  restore({ epoch, fence, paused }: { epoch: number; fence: number; paused: boolean }): void {
    this.#epoch = epoch
    this.#fence = fence
    this.paused = paused
  }

  advance({
    to,
    park,
    gap,
    ...hold
  }: SinkHold & {
    to: OutboxCursor
    park: readonly ParkedEvent[]
    gap?: SinkGap
  }): Promise<boolean> {
    return this.#held(hold, () => {
      this.#cursor = to
      this.#gap = gap ?? this.#gap
      const known = new Set(this.#parked.map(({ id }) => id))
      this.#parked.push(...park.filter(({ id }) => !known.has(id)))
      this.#parked.sort((a, b) => a.revision - b.revision || a.position - b.position)
    })
  }

  parkedAggregates(): Promise<{ aggregates: string[]; events: number; bytes: number }> {
    const aggregates = new Set(this.#parked.map(event => `${event.aggregateType}/${event.aggregateId}`))
    return Promise.resolve({
      aggregates: [...aggregates],
      events: this.#parked.length,
      bytes: this.#parked.reduce((sum, { event }) => sum + event.length, 0),
    })
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

  unpark({ id, ...hold }: SinkHold & { id: string }): Promise<boolean> {
    return this.#held(hold, () => {
      this.#parked = this.#parked.filter(event => event.id !== id)
    })
  }

  refused({ id, error, ...hold }: SinkHold & { id: string; error: string }): Promise<boolean> {
    return this.#held(hold, () => {
      this.#parked = this.#parked.map(event =>
        event.id === id ? { ...event, error, attempts: event.attempts + 1 } : event,
      )
    })
  }

  progress(): Promise<SinkProgress> {
    return Promise.resolve({
      cursor: this.#cursor,
      epoch: this.#epoch,
      paused: this.paused ? { since: '2026-01-01T00:00:00.000Z', by: 'test' } : null,
      head: this.head,
      parked: this.#parked.length,
      waitingMs: 0,
      oldest: this.oldest,
      gap: this.#gap,
    })
  }

  #holds({ fence, epoch }: SinkHold): boolean {
    return this.#cursor !== null && fence === this.#fence && epoch === this.#epoch
  }

  #held(hold: SinkHold, work: () => void): Promise<boolean> {
    if (!this.#holds(hold)) return Promise.resolve(false)
    work()
    return Promise.resolve(true)
  }
}
