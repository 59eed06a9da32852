import { WaymarkError } from '../domain/errors.ts'
import { Backoff } from '../runtime/backoff.ts'
import type { Component } from '../runtime/component.ts'
import { Wakeup } from '../runtime/wakeup.ts'
import type { OwnedRole, Ownership } from '../store/owned-role.ts'
import { DeliveryError } from './sink.ts'
import { sinkStatus, unknownProgress, type SinkStatus } from './sink-status.ts'
import { SupersededError } from './delivery.ts'
import { ParkedTurns } from './parked-turns.ts'
import { Reach } from './reach.ts'
import { FencedOffError, SinkSession, type SessionOptions } from './sink-session.ts'

export interface PublisherOptions extends SessionOptions {
  /** The role of this sink alone: one owner among all replicas. */
  readonly role: Pick<OwnedRole, 'run' | 'state' | 'owner'>
  readonly random: () => number
  /** How long to wait for `wake` before looking into the log anyway (ms). */
  readonly pollMs: number
  /** The longest pause between two attempts (ms). */
  readonly maxBackoffMs: number
  /** How long to leave a receiver alone that wants no more events (ms). */
  readonly goneRetryMs: number
}

/** What the owner of a sink tells the other replicas. */
interface RoleReport {
  readonly error: string | null
}

const longestRetryAfterMs = 3_600_000
const isOver = (error: unknown, signal: AbortSignal): boolean =>
  signal.aborted || error instanceof FencedOffError

/**
 * Publishes the log to one sink, from one replica at a time: takes the sink's role, delivers from the stored
 * cursor on, and waits for `wake` or the poll when there is nothing more. What fails is tried again for ever, with
 * backoff; a sink that is down delays only itself.
 */
export class Publisher implements Component {
  readonly name: string
  readonly #options: PublisherOptions
  readonly #wakeup = new Wakeup()
  /** Ends the session, and a pause between attempts: somebody wants something of the sink. */
  #wish = new AbortController()
  readonly #reach = new Reach()
  #progress = unknownProgress
  /** Looks at the database that have begun, and the last of those that `#progress` is from. */
  #looks = 0
  #shownLook = 0
  #error: string | null = null

  constructor(options: PublisherOptions) {
    this.name = `publisher ${options.sink.name}`
    this.#options = options
  }

  /** Something new may be in the log. */
  wake(): void {
    this.#wakeup.call()
  }

  /** As this replica knows it: no older than the poll while the database answers. */
  status(): SinkStatus {
    const { sink, role, origin } = this.#options
    // The report of another owner is what its publisher gave to `run`.
    const report = role.state.report as RoleReport | null
    return sinkStatus(this.#progress, {
      sink: sink.name,
      kind: sink.kind,
      origin,
      error: this.#error ?? report?.error ?? null,
      owner: role.state.owner,
      orphaned: false,
    })
  }

  async start(signal: AbortSignal): Promise<void> {
    const { role, sink } = this.#options
    const report = (): RoleReport => ({ error: this.#error })
    await Promise.all([
      role.run(signal, ownership => this.#publish(ownership), report),
      this.#observe(signal),
    ])
    await sink.close()
  }

  /**
   * Reads how far the sink is, whoever delivers, and what is wanted of it. From then on this replica begins no
   * delivery of an epoch before that.
   */
  async observe(): Promise<void> {
    const { outbox, sink } = this.#options
    this.#looks += 1
    const look = this.#looks
    const progress = await outbox.progress(sink.name)
    // An answer that comes after that of a later look may be older.
    if (look < this.#shownLook) return
    this.#shownLook = look
    this.#reach.observe(progress)
    const { epoch } = this.#progress
    this.#progress = progress
    // Not only a greater one: a restored database, or a sink that was declared anew, has a smaller one.
    if (progress.epoch === epoch) return
    this.#wakeup.call()
    this.#wish.abort()
    this.#wish = new AbortController()
  }

  async #observe(signal: AbortSignal): Promise<void> {
    const { clock, pollMs } = this.#options
    while (!signal.aborted) {
      // The feed notices and reports the same outage; until it ends the last known figures stand.
      await this.observe().catch(() => undefined)
      await clock.sleep(pollMs, signal)
    }
  }

  /** Ends when the role is lost or the replica stops. */
  async #publish(ownership: Ownership): Promise<void> {
    const { clock, random, maxBackoffMs, pollMs, sink } = this.#options
    const { signal } = ownership
    const backoff = new Backoff({ baseMs: 200, maxMs: maxBackoffMs, random })
    let session: SinkSession | null = null
    const turns = new ParkedTurns()
    while (!signal.aborted) {
      // Taken before the session opens: what is wished after that ends it.
      const wished = this.#wish.signal
      try {
        session ??= await SinkSession.open(this.#options, { ownership, wished, turns, reach: this.#reach })
        const outcome = await session.step()
        this.#follow(session)
        if (!session.paused) this.#recovered()
        backoff.reset()
        if (outcome === 'idle') await this.#wakeup.wait(signal, { clock, ms: pollMs })
      } catch (error) {
        if (isOver(error, signal)) break
        if (error instanceof SupersededError) {
          session = null
          continue
        }
        if (session !== null) this.#follow(session)
        // Another database may answer next, a standby that has an earlier cursor and gives the same revisions again.
        if (error instanceof WaymarkError) session = null
        this.#failed(error)
        await clock.sleep(this.#pause(error, backoff), AbortSignal.any([signal, wished]))
      }
    }
    this.#error = null
    await sink.close()
  }

  /** What the owner knows by itself, between two looks at the database. */
  #follow({ cursor, parked, head }: SinkSession): void {
    this.#progress = { ...this.#progress, cursor, parked, head: Math.max(head, this.#progress.head) }
  }

  #pause(error: unknown, backoff: Backoff): number {
    const next = backoff.next()
    if (!(error instanceof DeliveryError)) return next
    if (error.kind === 'gone') return this.#options.goneRetryMs
    return Math.max(next, Math.min(error.retryAfterMs ?? 0, longestRetryAfterMs))
  }

  #failed(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error)
    if (this.#error === null) this.#options.logger.warn({ error: text }, 'a sink takes no events')
    this.#error = text
  }

  #recovered(): void {
    if (this.#error !== null) this.#options.logger.info({}, 'the sink takes events again')
    this.#error = null
  }
}
