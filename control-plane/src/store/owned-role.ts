import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { RoleTable } from './role-table.ts'

export interface OwnedRoleOptions {
  readonly roles: Pick<RoleTable, 'acquire' | 'renew' | 'release' | 'holder'>
  /** The role's name: one owner among all replicas. */
  readonly name: string
  /** This replica's id. */
  readonly owner: string
  readonly clock: Clock
  readonly logger: Logger
  /** How long the role outlives an owner that has gone silent. */
  readonly ttlMs?: number
  /** Between two attempts to get the role. */
  readonly retryMs?: number
}

/** What the owner says of its work: asked at each renewal, read by the other replicas. Becomes JSON. */
type RoleReporter = () => object | null

/** What work gets while this replica has the role. */
export interface Ownership {
  /** For Write.fence, or to compare in a transaction of one's own. */
  readonly fence: number
  /** Aborts when the role is lost, or could be (no renewal within its TTL), and when the replica stops. */
  readonly signal: AbortSignal
}

export interface RoleState {
  /** As last read; null: nobody, or not known. */
  readonly owner: string | null
  /** null: not ours. */
  readonly fence: number | null
  /** When the database last answered about this role (monotonic ms); null: never. */
  readonly contactAt: number | null
  /** What another owner says of its work; null: nothing, or the role is ours. */
  readonly report: object | null
}

/**
 * Keeps one piece of work running on exactly one replica: waits for the role, then renews it every third of its
 * TTL while the work runs. The signal tells the work that it has lost the role; the fence makes sure that what
 * it still does has no effect. Survives an unreachable database.
 */
export class OwnedRole {
  readonly #options: OwnedRoleOptions
  readonly #ttlMs: number
  readonly #retryMs: number
  #state: RoleState = { owner: null, fence: null, contactAt: null, report: null }
  #failing = false

  constructor(options: OwnedRoleOptions) {
    this.#options = options
    this.#ttlMs = options.ttlMs ?? 5_000
    this.#retryMs = options.retryMs ?? 1_000
  }

  /** This replica's id. */
  get owner(): string {
    return this.#options.owner
  }

  get state(): RoleState {
    return this.#state
  }

  /**
   * Resolves when `signal` has aborted and the work has ended. Work that returns or throws gives the role up and
   * is started again when this replica gets the role the next time.
   */
  async run(
    signal: AbortSignal,
    work: (ownership: Ownership) => Promise<void>,
    report: RoleReporter = () => null,
  ): Promise<void> {
    const { clock } = this.#options
    while (!signal.aborted) {
      const sentAt = clock.monotonic()
      const fence = await this.#acquire()
      if (fence !== null) await this.#hold({ fence, sentAt, signal, work, report })
      await clock.sleep(this.#retryMs, signal)
    }
  }

  async #acquire(): Promise<number | null> {
    const { roles, name, owner } = this.#options
    try {
      const fence = await roles.acquire({ name, owner, ttlMs: this.#ttlMs })
      const holder = fence === null ? await roles.holder(name) : undefined
      this.#contact(fence === null ? (holder?.owner ?? null) : owner, fence, holder?.report)
      return fence
    } catch (error) {
      this.#failed(error)
      return null
    }
  }

  async #hold(held: {
    fence: number
    sentAt: number
    signal: AbortSignal
    work: (ownership: Ownership) => Promise<void>
    report: RoleReporter
  }): Promise<void> {
    const { fence, signal } = held
    const { logger, name } = this.#options
    logger.info({ role: name, fence }, 'this replica has taken over a role')
    const lost = new AbortController()
    const ended = new AbortController()
    const renewing = this.#renew({
      fence,
      sentAt: held.sentAt,
      lost,
      until: AbortSignal.any([signal, ended.signal]),
      report: held.report,
    })
    try {
      await held.work({ fence, signal: AbortSignal.any([signal, lost.signal]) })
    } catch (error) {
      if (!signal.aborted && !lost.signal.aborted)
        logger.error({ role: name, error }, 'the work of a role failed')
    }
    ended.abort()
    await renewing
    this.#state = { ...this.#state, owner: null, fence: null, report: null }
    if (lost.signal.aborted) logger.warn({ role: name, fence }, 'this replica has lost a role')
    else await this.#release(fence)
  }

  async #renew({
    fence,
    sentAt,
    lost,
    until,
    report,
  }: {
    fence: number
    sentAt: number
    lost: AbortController
    until: AbortSignal
    report: RoleReporter
  }): Promise<void> {
    const { clock, roles, name, owner } = this.#options
    const expireAt = (from: number) =>
      clock.timer(from + this.#ttlMs - clock.monotonic(), () => {
        lost.abort()
      })
    let deadline = expireAt(sentAt)
    const stop = AbortSignal.any([until, lost.signal])
    for (;;) {
      await clock.sleep(this.#ttlMs / 3, stop)
      if (stop.aborted) break
      const renewedAt = clock.monotonic()
      try {
        if (!(await roles.renew({ name, owner, fence, ttlMs: this.#ttlMs, report: report() }))) {
          this.#contact(null, null)
          lost.abort()
          break
        }
        this.#contact(owner, fence)
        deadline.cancel()
        deadline = expireAt(renewedAt)
      } catch (error) {
        this.#failed(error)
      }
    }
    deadline.cancel()
  }

  async #release(fence: number): Promise<void> {
    const { roles, name, owner } = this.#options
    try {
      await roles.release({ name, owner, fence })
    } catch (error) {
      this.#failed(error)
    }
  }

  #contact(owner: string | null, fence: number | null, report: object | null = null): void {
    this.#failing = false
    this.#state = { owner, fence, contactAt: this.#options.clock.monotonic(), report }
  }

  /** Says it once until the database answers again. */
  #failed(error: unknown): void {
    if (!this.#failing) {
      this.#options.logger.warn(
        { role: this.#options.name, error: String(error) },
        'a role could not be renewed',
      )
    }
    this.#failing = true
  }
}
