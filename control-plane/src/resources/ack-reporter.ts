import type { Revision } from '../domain/revision.ts'
import { Wakeup } from '../runtime/wakeup.ts'
import type { FollowedRevision } from '../xds/acks/revision-watches.ts'
import type { AckExchangeOptions } from './ack-ports.ts'

/** The least time between two writes (ms), so that a thousand ACKs are a few writes. */
const pauseMs = 50

interface Wish {
  readonly followed: FollowedRevision
  /** Monotonic. */
  until: number
  dirty: boolean
}

/** Tells other replicas what the sidecars of this one have made of the revisions that they wait for. */
export class AckReporter {
  readonly #options: Pick<AckExchangeOptions, 'streams' | 'store' | 'clock' | 'logger'>
  readonly #wakeup = new Wakeup()
  readonly #wishes = new Map<Revision, Wish>()
  #asked = false

  constructor(options: Pick<AckExchangeOptions, 'streams' | 'store' | 'clock' | 'logger'>) {
    this.#options = options
  }

  /** Somebody has begun to wait, or waits on. */
  hint(): void {
    this.#asked = true
    this.#wakeup.call()
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    while (!signal.aborted) {
      try {
        await this.step()
      } catch (error) {
        logger.debug({ error: String(error) }, 'other replicas could not be told of ACKs')
      }
      await clock.sleep(pauseMs, signal)
      const next = Math.min(...[...this.#wishes.values()].map(({ until }) => until))
      const ms = Number.isFinite(next) ? Math.max(1, next - clock.monotonic()) : undefined
      await this.#wakeup.wait(signal, ms === undefined ? undefined : { clock, ms })
    }
    for (const { followed } of this.#wishes.values()) followed.end()
    this.#wishes.clear()
  }

  /** Reads what is wanted if somebody has said so, and writes what has changed. */
  async step(): Promise<void> {
    const { store, clock } = this.#options
    if (this.#asked) {
      this.#asked = false
      try {
        await this.#read()
      } catch (error) {
        // Whoever waits asks again within a second.
        this.#asked = true
        throw error
      }
    }
    for (const [revision, { until, followed }] of this.#wishes) {
      if (until > clock.monotonic()) continue
      followed.end()
      this.#wishes.delete(revision)
    }
    const dirty = [...this.#wishes].filter(([, wish]) => wish.dirty)
    for (const [, wish] of dirty) wish.dirty = false
    try {
      await store.report(
        dirty.map(([revision, { followed, until }]) => ({
          revision,
          report: followed.report(),
          complete: followed.complete,
          keepMs: Math.max(1, Math.ceil(until - clock.monotonic())),
        })),
      )
    } catch (error) {
      for (const [, wish] of dirty) wish.dirty = true
      throw error
    }
  }

  /** Whoever still waits asks again, and is told again: what was written may have been lost. */
  async #read(): Promise<void> {
    const { store, streams, clock } = this.#options
    for (const { revision, leftMs } of await store.wanted()) {
      const until = clock.monotonic() + leftMs
      const known = this.#wishes.get(revision)
      if (known !== undefined) {
        known.until = until
        known.dirty = true
        continue
      }
      const followed = streams.follow(revision, () => {
        wish.dirty = true
        this.#wakeup.call()
      })
      const wish: Wish = { followed, until, dirty: true }
      this.#wishes.set(revision, wish)
    }
  }
}
