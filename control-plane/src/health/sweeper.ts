import type { Registry } from '../registry/registry.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Component } from '../runtime/component.ts'
import type { Logger } from '../runtime/logger.ts'
import type { LeaseSurvey, LeaseTable } from '../store/lease-table.ts'
import type { ObservationTable } from '../store/observation-table.ts'
import type { OwnedRole, Ownership } from '../store/owned-role.ts'
import type { ReviewTable } from '../store/review-table.ts'
import { FencedError } from '../store/write.ts'
import {
  decideExpiry,
  defaultSelfPreservation,
  type ExpiryDecision,
  type LapsedLease,
  type SelfPreservation,
  type SelfPreservationPolicy,
} from './expiry.ts'
import { expireObservation, removal, type SweepContext } from './sweeper-writes.ts'
import { SweepSeries } from './sweep-series.ts'

export interface SweeperOptions {
  /** The role of the sweeper: one owner among all replicas. */
  readonly role: OwnedRole
  readonly leases: Pick<LeaseTable, 'survey' | 'startMissing' | 'removable' | 'prune'>
  readonly observations: Pick<ObservationTable, 'prune'>
  readonly reviews: Pick<ReviewTable, 'due'>
  readonly registry: Pick<Registry, 'observe' | 'removeDue' | 'review'>
  readonly clock: Clock
  readonly logger: Logger
  readonly intervalMs?: number
  /** See LeaseClock; at least the interval of Heartbeats' flush and the time that one takes. */
  readonly graceMs?: number
  readonly selfPreservation?: SelfPreservationPolicy
}

export interface SweeperStatus {
  /** Who sweeps, as this replica last read it; null: nobody, or not known. */
  readonly owner: string | null
  /** Until when leases that are over may still be sheltered (ms since the epoch); null: they are not, or not known. */
  readonly recoveringUntil: number | null
  /** What the owner's last sweep saw, on other replicas seconds later; null: nobody has swept yet, or not known. */
  readonly selfPreservation: {
    readonly active: boolean
    /** ISO 8601. */
    readonly since: string | null
    readonly leased: number
    readonly due: number
    /** null while inactive. */
    readonly reason: string | null
  } | null
}

interface LastSweep {
  readonly recoveringUntil: number
  readonly preservation: SelfPreservation
  readonly pausedSince: number | null
}

/** The name of the role whose owner sweeps. */
export const sweeperRole = 'sweeper'

/** Writes of one sweep; what is left is still due in the next one. */
const writeLimit = 1_000
/** TTLs up to this one keep the mode `recovery` whether or not a lease is over. */
const recoveryLimitMs = 60_000
/** Every so many sweeps leases without a row are looked for, though no sweep has failed. */
const repairEvery = 10

/**
 * Turns silence into verdicts: once a second it marks the leases that are over as expired, removes instances whose
 * time has come, and looks again at those whose override, hold or evidence has ended. One replica does it at a time. Every time that decides is Postgres's, every write is
 * fenced and looks once more at its lease under the lock of the log.
 */
export class Sweeper implements Component {
  readonly name = 'sweeper'
  readonly #options: SweeperOptions
  readonly #intervalMs: number
  readonly #graceMs: number
  readonly #series: SweepSeries
  #last: LastSweep | null = null
  #failing = false
  /** A crash of Postgres, which takes all leases, may be why a sweep failed. */
  #mayHaveLost = false
  #sweeps = 0

  constructor(options: SweeperOptions) {
    this.#options = options
    this.#intervalMs = options.intervalMs ?? 1_000
    this.#graceMs = options.graceMs ?? 1_500
    const policy = options.selfPreservation ?? defaultSelfPreservation
    this.#series = new SweepSeries({ maxGapMs: 3 * this.#intervalMs, windowMs: policy.windowMs })
  }

  start(signal: AbortSignal): Promise<void> {
    return this.#options.role.run(
      signal,
      ownership => this.#sweepWhileOwned(ownership),
      () => this.#last,
    )
  }

  status(): SweeperStatus {
    const { owner, report } = this.#options.role.state
    // The report of another owner is what its sweeper gave to `run`.
    const last = this.#last ?? (report as LastSweep | null)
    if (last === null) return { owner, recoveringUntil: null, selfPreservation: null }
    const { recoveringUntil, preservation, pausedSince } = last
    return {
      owner,
      recoveringUntil: recoveringUntil > this.#options.clock.now() ? recoveringUntil : null,
      selfPreservation: {
        active: preservation.active,
        since: pausedSince === null ? null : new Date(pausedSince).toISOString(),
        leased: preservation.leased,
        due: preservation.expiring,
        reason: preservation.reason,
      },
    }
  }

  async #sweepWhileOwned({ fence, signal }: Ownership): Promise<void> {
    const { clock, logger } = this.#options
    this.#series.reset()
    while (!signal.aborted) {
      try {
        await this.sweep(fence)
        this.#failing = false
      } catch (error) {
        if (!this.#failing) logger.warn({ error: String(error) }, 'leases could not be swept')
        this.#failing = true
        this.#mayHaveLost = true
      }
      await clock.sleep(this.#intervalMs, signal)
    }
    this.#last = null
  }

  /** One sweep. Rejects when the database cannot be read; writes that fail are due again in the next sweep. */
  async sweep(fence: number): Promise<void> {
    const { leases, observations } = this.#options
    const survey = await leases.survey()
    if (this.#series.continueAt(survey.now)) {
      await leases.prune()
      await observations.prune()
    }
    if (this.#mayHaveLost || this.#sweeps % repairEvery === 0) await leases.startMissing()
    this.#mayHaveLost = false
    this.#sweeps += 1
    const context = {
      serviceSince: this.#series.serviceSince,
      graceMs: this.#graceMs,
      fence: { role: sweeperRole, fence },
    }
    const decision = decideExpiry({
      ...context,
      now: survey.now,
      lapsed: survey.lapsed,
      leased: survey.leased,
      recentlyExpired: this.#series.recentlyExpired,
      policy: this.#options.selfPreservation ?? defaultSelfPreservation,
    })
    this.#remember(survey, decision)
    await this.#expire(decision.expire.slice(0, writeLimit), survey.now, context)
    await this.#remove(context)
    await this.#review(context)
  }

  async #expire(expired: readonly LapsedLease[], now: number, context: SweepContext): Promise<void> {
    const { registry, role, logger } = this.#options
    const results = await Promise.allSettled(
      expired.map(lease =>
        registry.observe(expireObservation(lease, { ...context, now, observer: role.owner }), sweeperContext),
      ),
    )
    this.#report(results, 'leases could not be marked as expired')
    const count = results.filter(result => result.status === 'fulfilled' && result.value.changed).length
    if (count === 0) return
    this.#series.expired(now, count)
    logger.info({ expired: count }, 'leases have expired')
  }

  async #remove(context: SweepContext): Promise<void> {
    const { leases, registry } = this.#options
    const due = await leases.removable({ limit: writeLimit, serviceSince: context.serviceSince })
    const results = await Promise.allSettled(
      due.map(instance => registry.removeDue(removal(instance, context), sweeperContext)),
    )
    this.#report(results, 'instances could not be removed')
  }

  /** Overrides and holds that end, evidence that goes stale. */
  async #review({ fence }: SweepContext): Promise<void> {
    const { reviews, registry } = this.#options
    const due = await reviews.due(writeLimit)
    const results = await Promise.allSettled(
      due.map(instance => registry.review({ ...instance, fence }, sweeperContext)),
    )
    this.#report(results, 'instances could not be reviewed')
  }

  /** A fenced write needs no word: the role's owner hears of the loss by itself. */
  #report(results: readonly PromiseSettledResult<unknown>[], message: string): void {
    const failures = results
      .filter(result => result.status === 'rejected')
      .filter(({ reason }) => !(reason instanceof FencedError))
    const first = failures[0]
    if (first !== undefined) {
      this.#options.logger.warn({ error: String(first.reason), failures: failures.length }, message)
    }
  }

  #remember(
    { now, maxTtlMs }: LeaseSurvey,
    { selfPreservation: preservation, shelteredMs }: ExpiryDecision,
  ): void {
    const { clock, logger } = this.#options
    const before = this.#last?.pausedSince ?? null
    const pausedSince = preservation.active ? (before ?? now) : null
    if (pausedSince !== null && before === null) {
      logger.warn({ reason: preservation.reason }, 'expiry is paused')
    } else if (pausedSince === null && before !== null) {
      logger.info({ leased: preservation.leased }, 'expiry goes on')
    }
    // A rare long TTL keeps the mode only where it shelters somebody.
    const recoveringMs = Math.max(shelteredMs, Math.min(maxTtlMs, recoveryLimitMs))
    // The difference of two Postgres times, laid on this replica's clock.
    const recoveringUntil = Math.round(clock.now() + (this.#series.serviceSince + recoveringMs - now))
    this.#last = { recoveringUntil, preservation, pausedSince }
  }
}

const sweeperContext = { actor: 'sweeper', traceparent: null }
