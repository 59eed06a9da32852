import type { SharedTime } from '../runtime/aligned-clock.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Component } from '../runtime/component.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Replica, ReplicaTable } from '../store/replica-table.ts'

export interface MembershipOptions {
  readonly replicas: Pick<ReplicaTable, 'announce' | 'live' | 'withdraw'>
  readonly id: string
  /** Where this replica's listeners are; asked anew for each announcement. */
  readonly addresses: () => { readonly http: string; readonly xds: string }
  readonly clock: Clock
  /** Hears Postgres's time at each announcement. */
  readonly onTime?: ((time: SharedTime) => void) | undefined
  readonly logger: Logger
  readonly intervalMs?: number
  /** A replica lives that was seen within this time, by Postgres's clock. */
  readonly liveMs?: number
}

/**
 * Which replicas are running: announces this one and reads the others, once a second. While the database is away
 * the last known members stand, so that nobody's work is taken over on a guess.
 */
export class Membership implements Component {
  readonly name = 'membership'
  readonly #options: MembershipOptions
  readonly #listeners = new Set<(ids: readonly string[]) => void>()
  #live: readonly Replica[] = []
  #failing = false

  constructor(options: MembershipOptions) {
    this.#options = options
  }

  /** In order of their ids; empty before the first announcement. */
  get live(): readonly Replica[] {
    return this.#live
  }

  get liveIds(): readonly string[] {
    return this.#live.map(({ id }) => id)
  }

  /** Calls `listener` whenever a replica has come or gone. Returns the call that ends it. */
  onChange(listener: (ids: readonly string[]) => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  async start(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.step()
      await this.#options.clock.sleep(this.#options.intervalMs ?? 1_000, signal)
    }
    await this.#guarded(() => this.#options.replicas.withdraw(this.#options.id))
  }

  /** Announces once and reads the others. Never rejects. */
  async step(): Promise<void> {
    const { replicas, id, addresses, liveMs, clock, onTime, logger } = this.#options
    await this.#guarded(async () => {
      const askedAt = clock.monotonic()
      const now = await replicas.announce({ id, ...addresses() })
      onTime?.({ now, askedAt, answeredAt: clock.monotonic() })
      const live = await replicas.live(liveMs ?? 5_000)
      const before = this.liveIds
      this.#live = live
      const ids = this.liveIds
      if (ids.join('\n') === before.join('\n')) return
      logger.info({ replicas: ids }, 'the replicas have changed')
      for (const listener of this.#listeners) listener(ids)
    })
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work()
      this.#failing = false
    } catch (error) {
      if (!this.#failing)
        this.#options.logger.warn({ error: String(error) }, 'the replicas could not be read')
      this.#failing = true
    }
  }
}
