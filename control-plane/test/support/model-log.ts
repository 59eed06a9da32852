import type { ChangeSet } from '../../src/domain/change.ts'
import { WaymarkError } from '../../src/domain/errors.ts'
import { CompactedError, type Revision } from '../../src/domain/revision.ts'
import type { MeshSnapshot } from '../../src/domain/snapshot.ts'
import { documentChange } from './changes.ts'
import type { SlowCalls } from './slow-calls.ts'

/** The log in a database that takes its time, is away now and then, and forgets its oldest revisions. */
export class ModelLog {
  readonly sets: ChangeSet[] = []
  oldest: Revision = 1
  away = false
  /** How often it has lost its end. */
  losses = 0
  readonly #calls: SlowCalls
  readonly #hints = new Map<(backend: number | null) => void, () => void>()

  constructor(calls: SlowCalls) {
    this.#calls = calls
  }

  get head(): Revision {
    return this.sets.length
  }

  write(name: string): ChangeSet {
    const revision = this.head + 1
    const set = {
      revision,
      changes: [documentChange({ revision, name, id: `${revision} of ${this.losses}` })],
    }
    this.sets.push(set)
    return set
  }

  /** As a standby that takes over and has not got everything. */
  lose(count: number): void {
    this.sets.splice(Math.max(0, this.head - count))
    this.oldest = Math.min(this.oldest, this.head + 1)
    this.losses += 1
    this.cut()
  }

  async tell(): Promise<void> {
    const told = [...this.#hints.keys()]
    await this.#calls.way()
    for (const hint of told) if (this.#hints.has(hint)) hint(1)
  }

  cut(): void {
    for (const end of this.#hints.values()) end()
  }

  readonly readChanges = ({ after, limit }: { readonly after: Revision; readonly limit: number }) =>
    this.#ask(() => {
      const head = this.head
      if (head > after && after + 1 < this.oldest) throw new CompactedError(after + 1, this.oldest)
      return {
        sets: this.sets.slice(after, after + limit),
        head,
        anchor: this.sets[after - 1]?.changes[0]?.id ?? null,
      }
    })

  readonly bounds = () => this.#ask(() => ({ oldest: this.oldest, head: this.head }))

  readonly readSnapshot = () =>
    this.#ask(() => ({ ...this.snapshot(), anchor: this.sets.at(-1)?.changes[0]?.id ?? null }))

  snapshot(): MeshSnapshot {
    const documents = new Map(
      this.sets.flatMap(({ changes }) => changes.map(change => [change.aggregateId, change.after])),
    )
    return {
      revision: this.head,
      instances: [],
      documents: [...documents.values()]
        .filter(document => document !== null && 'kind' in document)
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    }
  }

  readonly listen = async (onHint: (backend: number | null) => void, signal: AbortSignal): Promise<void> => {
    await this.#ask(() => undefined)
    const ended = Promise.withResolvers<undefined>()
    const end = (): void => {
      this.#hints.delete(onHint)
      ended.resolve(undefined)
    }
    this.#hints.set(onHint, end)
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
    onHint(null)
    await ended.promise
  }

  #ask<T>(question: () => T): Promise<T> {
    return this.#calls.make(() => {
      if (this.away) throw new WaymarkError('database_unavailable', 'away')
      return question()
    })
  }
}
