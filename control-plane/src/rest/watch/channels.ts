import type { ChangeSet } from '../../domain/change.ts'
import type { Revision } from '../../domain/revision.ts'
import { createEncoder, filterKey, filterSet, servicesOf, type WatchFilter } from './change-filter.ts'
import { eventBytes } from './event-stream.ts'

/** A watcher that is up to date and gets what comes as it comes. */
export interface Listener {
  /** It has got everything up to this revision, and perhaps more. */
  readonly cursor: Revision
  /** Never blocks. */
  deliver(bytes: Buffer, revision: Revision): void
}

interface Channel {
  readonly key: string
  readonly filter: WatchFilter
  readonly listeners: Set<Listener>
}

/**
 * The watchers that are up to date, by what they ask for: of a revision only those hear whom it concerns, and all who
 * ask for the same get the same bytes.
 */
export class Channels {
  readonly #byKey = new Map<string, Channel>()
  /** Those that ask for some services, by each of them. */
  readonly #byService = new Map<string, Set<Channel>>()
  readonly #everyService = new Set<Channel>()
  readonly #encode = createEncoder()

  /** Returns the call that takes the listener out again. */
  join(filter: WatchFilter, listener: Listener): () => void {
    const key = filterKey(filter)
    const channel = this.#byKey.get(key) ?? this.#open(key, filter)
    channel.listeners.add(listener)
    return () => {
      channel.listeners.delete(listener)
      if (channel.listeners.size === 0) this.#close(channel)
    }
  }

  *listeners(): Generator<Listener> {
    for (const { listeners } of this.#byKey.values()) yield* listeners
  }

  /** Delivers one revision; yields after each delivery, for turns of the event loop. */
  *deliver(set: ChangeSet): Generator<undefined> {
    for (const { filter, listeners } of this.#concerned(set)) {
      const matching = filterSet(set, filter)
      if (matching === undefined) continue
      const bytes = this.event(matching)
      for (const listener of [...listeners]) {
        if (listener.cursor >= set.revision || !listeners.has(listener)) continue
        listener.deliver(bytes, set.revision)
        yield
      }
    }
  }

  /** The event of a revision, or of what a filter has left of it. */
  event(set: ChangeSet): Buffer {
    return eventBytes('change', set.revision, this.#encode(set))
  }

  #concerned(set: ChangeSet): ReadonlySet<Channel> {
    const concerned = new Set(this.#everyService)
    for (const change of set.changes)
      for (const service of servicesOf(change))
        for (const channel of this.#byService.get(service) ?? []) concerned.add(channel)
    return concerned
  }

  #open(key: string, filter: WatchFilter): Channel {
    const channel: Channel = { key, filter, listeners: new Set() }
    this.#byKey.set(key, channel)
    if (filter.services === null) this.#everyService.add(channel)
    for (const service of filter.services ?? []) {
      const channels = this.#byService.get(service) ?? new Set()
      this.#byService.set(service, channels.add(channel))
    }
    return channel
  }

  #close(channel: Channel): void {
    this.#byKey.delete(channel.key)
    this.#everyService.delete(channel)
    for (const service of channel.filter.services ?? []) {
      const channels = this.#byService.get(service)
      channels?.delete(channel)
      if (channels?.size === 0) this.#byService.delete(service)
    }
  }
}
