import { WaymarkError } from '../domain/errors.ts'
import { Backoff } from '../runtime/backoff.ts'
import type { Component } from '../runtime/component.ts'
import type { AckExchangeOptions, CollectOptions, RevisionAnswers } from './ack-ports.ts'
import { AckReporter } from './ack-reporter.ts'
import { AckWait } from './ack-wait.ts'

/**
 * Knows whether the sidecars of all replicas have ACKed a revision. A replica knows only its own streams, so who
 * waits says so in the database, and the others write down there what theirs have made of it (`AckReporter`). A
 * replica that is alone needs no database for it.
 */
export class AckExchange implements Component {
  readonly name = 'ack-exchange'
  readonly #options: AckExchangeOptions
  readonly #reporter: AckReporter
  readonly #waits = new Set<AckWait>()
  readonly #ended = new AbortController()
  #places = 0

  constructor(options: AckExchangeOptions) {
    this.#options = options
    this.#reporter = new AckReporter(options)
  }

  /** Waits that run when it ends are answered with what is known. */
  async start(signal: AbortSignal): Promise<void> {
    const { store, clock, logger, random } = this.#options
    const reporting = this.#reporter.run(signal)
    const backoff = new Backoff({ baseMs: 200, maxMs: 2_000, random })
    while (!signal.aborted) {
      try {
        await store.listen(hint => {
          backoff.reset()
          if (hint === 'wanted') this.#reporter.hint()
          else for (const wait of this.#waits) wait.hint()
        }, signal)
      } catch (error) {
        logger.debug({ error: String(error) }, 'other replicas that wait for ACKs cannot be heard')
      }
      await clock.sleep(backoff.next(), signal)
    }
    this.#ended.abort()
    await reporting
  }

  /**
   * A place for a wait, to be taken before what is waited for is written. Throws WaymarkError `overloaded`. Returns
   * the call that gives it back, once.
   */
  reserve(): () => void {
    const { maxWaits = 128 } = this.#options
    if (this.#places >= maxWaits) {
      throw new WaymarkError('overloaded', `${this.#places} requests wait for ACKs already`)
    }
    this.#places += 1
    return () => {
      this.#places -= 1
    }
  }

  /** Resolves when the answers are what `until` asks for or the time is over; never rejects. Needs a place. */
  async collect(wanted: CollectOptions): Promise<RevisionAnswers> {
    const gone = AbortSignal.any([wanted.gone, this.#ended.signal])
    const wait = new AckWait(this.#options, { ...wanted, gone })
    this.#waits.add(wait)
    try {
      return await wait.run()
    } finally {
      this.#waits.delete(wait)
    }
  }
}
