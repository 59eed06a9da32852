import { WaymarkError } from '../domain/errors.ts'
import { isExpired, type EvidenceStatus } from '../domain/evidence.ts'
import { instanceKey, type Instance } from '../domain/instance.ts'
import type { Registry } from '../registry/registry.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Component } from '../runtime/component.ts'
import type { Logger } from '../runtime/logger.ts'
import type { LeaseTable } from '../store/lease-table.ts'
import { KnownIncarnations } from './known-incarnations.ts'
import type { MeshView } from './mesh-view.ts'
import { PendingBeats, toLeaseBeat } from './pending-beats.ts'

export interface HeartbeatsOptions {
  readonly mesh: Pick<MeshView, 'instance' | 'onDelta'>
  readonly registry: Pick<Registry, 'observe'>
  readonly leases: Pick<LeaseTable, 'renew' | 'find'>
  /** The observer of what is seen here. */
  readonly replicaId: string
  readonly clock: Clock
  readonly logger: Logger
  readonly flushMs?: number
  /** After this long without a successful flush beats are refused. */
  readonly unavailableAfterMs?: number
  /** Instances whose beats may wait for a flush. */
  readonly capacity?: number
}

export interface Heartbeat {
  readonly service: string
  readonly id: string
  /** The registration that is meant; null: whichever is there. */
  readonly incarnation: number | null
  /** The instance's own words about itself; null: nothing said. */
  readonly report: { readonly status: EvidenceStatus; readonly output: string } | null
}

/** Beats of one statement. */
const flushLimit = 5_000
/** Questions to the database about instances that memory does not know, at the same time. */
const lookupLimit = 1_000

/**
 * Takes heartbeats. The usual one is judged from memory and costs no query: beats are kept, the latest of each
 * instance, and written once a second in one statement. What memory cannot judge (an instance or registration
 * that this replica has not heard of) is asked of the database. Only a changed state becomes a write of the log:
 * the first beat after an expiry, and a self-reported status that differs from the last one.
 */
export class Heartbeats implements Component {
  readonly name = 'heartbeats'
  readonly #options: HeartbeatsOptions
  readonly #pending: PendingBeats
  readonly #known = new KnownIncarnations(50_000)
  readonly #recoveries = new Map<string, Promise<void>>()
  /** Reports of each instance that are being written. */
  readonly #reporting = new Map<string, number>()
  #lookups = 0
  /** When the first flush began that has not succeeded since (monotonic ms). */
  #unflushedSince: number | null = null
  #failing = false

  constructor(options: HeartbeatsOptions) {
    this.#options = options
    this.#pending = new PendingBeats(options.capacity ?? 100_000)
  }

  /** Beats that wait for the next flush. */
  get pending(): number {
    return this.#pending.size
  }

  /**
   * Resolves when the beat counts. Rejects with WaymarkError: `instance_not_found`; `incarnation_conflict` (a newer
   * process has registered under this id); `database_unavailable` (the beat is kept and counts if the database
   * comes back, but the caller had better turn to another replica); `overloaded`.
   */
  async beat(beat: Heartbeat): Promise<void> {
    const { service, id, incarnation } = beat
    const instance = this.#options.mesh.instance(service, id)
    await this.#judge(beat, instance)
    if (instance?.spec.lease !== null) {
      const at = this.#options.clock.monotonic()
      if (!this.#pending.add({ service, id, incarnation, at })) {
        throw new WaymarkError('overloaded', `${this.#pending.size} heartbeats are waiting`, {
          retryAfterMs: 1_000,
        })
      }
    }
    if (this.#isUnavailable()) {
      throw new WaymarkError('database_unavailable', 'heartbeats cannot be written', { retryAfterMs: 1_000 })
    }
    if (instance !== undefined && leaseExpired(instance)) await this.#recover(beat)
    await this.#report(beat, instance)
  }

  async start(signal: AbortSignal): Promise<void> {
    const { mesh, clock, flushMs } = this.#options
    const end = mesh.onDelta(({ resynchronised }) => {
      // The database may have been restored, and count from an older incarnation on.
      if (resynchronised) this.#known.clear()
    })
    while (!signal.aborted) {
      await clock.sleep(flushMs ?? 1_000, signal)
      await this.flush()
    }
    end()
  }

  /** Writes what is waiting. Never rejects: what could not be written waits on. */
  async flush(): Promise<void> {
    const { clock, leases, logger } = this.#options
    // What arrives meanwhile is for the next flush.
    for (let left = this.#pending.size; left > 0; left -= flushLimit) {
      const taken = this.#pending.take(Math.min(left, flushLimit))
      const now = clock.monotonic()
      this.#unflushedSince ??= now
      try {
        const superseded = await leases.renew(taken.map(beat => toLeaseBeat(beat, now)))
        for (const { service, id, incarnation } of superseded)
          this.#known.add(instanceKey(service, id), incarnation)
        this.#unflushedSince = null
        this.#failing = false
      } catch (error) {
        for (const beat of taken) this.#pending.add(beat)
        if (!this.#failing)
          logger.warn({ error: String(error), beats: taken.length }, 'heartbeats could not be written')
        this.#failing = true
        return
      }
    }
  }

  #isUnavailable(): boolean {
    const { clock, unavailableAfterMs } = this.#options
    return (
      this.#unflushedSince !== null &&
      clock.monotonic() - this.#unflushedSince > (unavailableAfterMs ?? 3_000)
    )
  }

  /** Whether this registration of the instance exists; asks the database where memory may be behind. */
  async #judge({ service, id, incarnation }: Heartbeat, instance: Instance | undefined): Promise<void> {
    const key = instanceKey(service, id)
    if (instance !== undefined) {
      const known = Math.max(instance.incarnation, this.#known.get(key))
      if (incarnation === null || incarnation === known) return
      // Memory may be behind, never ahead.
      if (incarnation < known) throw conflict(key, incarnation, known)
    }
    const found = await this.#lookUp(service, id)
    if (found === undefined) {
      throw new WaymarkError('instance_not_found', `service ${service} has no instance ${id}`)
    }
    this.#known.add(key, found.incarnation)
    if (incarnation !== null && incarnation !== found.incarnation) {
      throw conflict(key, incarnation, found.incarnation)
    }
  }

  async #lookUp(service: string, id: string): ReturnType<LeaseTable['find']> {
    if (this.#lookups >= lookupLimit) {
      throw new WaymarkError('overloaded', `${this.#lookups} heartbeats wait for the database`, {
        retryAfterMs: 1_000,
      })
    }
    this.#lookups += 1
    try {
      return await this.#options.leases.find(service, id)
    } finally {
      this.#lookups -= 1
    }
  }

  /** One write per instance, however many beats arrive until it is done. */
  #recover({ service, id, incarnation }: Heartbeat): Promise<void> {
    const key = instanceKey(service, id)
    const running = this.#recoveries.get(key)
    if (running !== undefined) return running
    const recovery = this.#options.registry
      .observe(
        {
          service,
          id,
          source: 'lease',
          observer: this.#options.replicaId,
          status: 'passing',
          output: 'heartbeats again',
          validForMs: null,
          removeAfterMs: null,
          beats: true,
          stillTrue: current => leaseExpired(current) && isMeant(current, incarnation),
        },
        { actor: 'heartbeats', traceparent: null },
      )
      .then(() => undefined)
      .finally(() => {
        this.#recoveries.delete(key)
      })
    this.#recoveries.set(key, recovery)
    return recovery
  }

  async #report(
    { service, id, incarnation, report }: Heartbeat,
    instance: Instance | undefined,
  ): Promise<void> {
    if (report === null) return
    const key = instanceKey(service, id)
    const underWay = this.#reporting.get(key) ?? 0
    const before = instance?.evidence.find(({ source }) => source === 'report')
    // What is being written comes after what memory shows.
    if (underWay === 0 && before?.status === report.status) return
    this.#reporting.set(key, underWay + 1)
    try {
      await this.#options.registry.observe(
        {
          service,
          id,
          source: 'report',
          observer: key,
          status: report.status,
          output: report.output,
          validForMs: null,
          stillTrue: current => isMeant(current, incarnation),
        },
        { actor: 'heartbeats', traceparent: null },
      )
    } finally {
      const left = (this.#reporting.get(key) ?? 1) - 1
      if (left > 0) this.#reporting.set(key, left)
      else this.#reporting.delete(key)
    }
  }
}

const leaseExpired = ({ spec, evidence }: Instance): boolean => spec.lease !== null && isExpired(evidence)

const isMeant = (instance: Instance, incarnation: number | null): boolean =>
  incarnation === null || incarnation === instance.incarnation

const conflict = (key: string, incarnation: number, current: number): WaymarkError =>
  new WaymarkError(
    'incarnation_conflict',
    `incarnation ${incarnation} of ${key} is not the current one, ${current}`,
  )
