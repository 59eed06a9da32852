import { Wakeup } from '../runtime/wakeup.ts'
import type { AckExchangeOptions, CollectOptions, RevisionAnswers, SaidReport } from './ack-ports.ts'

/** How often a wait asks again although nothing has been said: rows and notifications may be lost. */
const askAgainMs = 1_000
/** How long others go on reporting after the time of a wait. */
const graceMs = 2_000

/** One wait for the answers to a revision. */
export class AckWait {
  readonly #options: AckExchangeOptions
  readonly #wanted: CollectOptions
  readonly #wakeup = new Wakeup()
  readonly #said = new Map<string, SaidReport>()
  /** There may be something to read. */
  #hinted = true
  #askAt = 0
  #asking = false

  constructor(options: AckExchangeOptions, wanted: CollectOptions) {
    this.#options = options
    this.#wanted = wanted
  }

  /** Another replica may have said something. */
  hint(): void {
    this.#hinted = true
    this.#wakeup.call()
  }

  /** Never rejects. */
  async run(): Promise<RevisionAnswers> {
    const { streams, clock } = this.#options
    const { revision, timeoutMs, until, gone } = this.#wanted
    const own = streams.follow(revision, () => {
      this.#wakeup.call()
    })
    const end = clock.monotonic() + timeoutMs
    this.#askAt = clock.monotonic()
    try {
      for (;;) {
        const left = end - clock.monotonic()
        this.#askIfDue(left)
        const silent = this.#others().filter(replica => !this.#said.has(replica))
        const acked = own.complete && [...this.#said.values()].every(({ complete }) => complete)
        const heard = silent.length === 0
        if ((heard && (acked || until === 'heard')) || left <= 0 || gone.aborted) {
          return {
            revision,
            complete: heard && acked,
            answers: [
              { replica: this.#options.replica, report: own.report() },
              ...[...this.#said].map(([replica, { report }]) => ({ replica, report })),
              ...silent.map(replica => ({ replica, report: null })),
            ],
          }
        }
        const ms = this.#asking ? left : Math.min(left, Math.max(1, this.#askAt - clock.monotonic()))
        await this.#wakeup.wait(gone, { clock, ms })
      }
    } finally {
      own.end()
    }
  }

  /** In the background: a database that does not answer must not prolong the wait. */
  #askIfDue(left: number): void {
    const { clock, logger } = this.#options
    const running = this.#others()
    // One that has ended has no sidecars any more: they are connected elsewhere, or nowhere.
    for (const replica of this.#said.keys()) if (!running.includes(replica)) this.#said.delete(replica)
    const due = clock.monotonic() >= this.#askAt
    if (due) this.#askAt = clock.monotonic() + askAgainMs
    if (running.length === 0 || this.#asking || !(due || this.#hinted)) return
    this.#hinted = false
    this.#asking = true
    const unfinished = running.some(replica => this.#said.get(replica)?.complete !== true)
    this.#ask(due && unfinished ? Math.ceil(Math.max(0, left)) + graceMs : null)
      .catch((error: unknown) => {
        logger.debug({ error: String(error) }, 'the other replicas cannot be asked for ACKs')
      })
      .finally(() => {
        this.#asking = false
        this.#wakeup.call()
      })
  }

  /** `wantMs`: asks to be told for so long; null: only reads. */
  async #ask(wantMs: number | null): Promise<void> {
    const { store } = this.#options
    const { revision } = this.#wanted
    if (wantMs !== null) await store.want(revision, wantMs)
    const rows = await store.reports(revision)
    for (const { replica, report, complete } of rows) this.#said.set(replica, { report, complete })
  }

  #others(): string[] {
    return this.#options.members().filter(id => id !== this.#options.replica)
  }
}
