import { instanceKey } from '../../domain/instance.ts'
import type { Registry } from '../../registry/registry.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { FreshObservation, ObservationTable } from '../../store/observation-table.ts'
import type { MeshView } from '../mesh-view.ts'
import { stillAsked, type CheckOutcome, type CheckSubject } from './check-runner.ts'

export interface CheckRecorderOptions {
  readonly mesh: Pick<MeshView, 'instance'>
  readonly registry: Pick<Registry, 'observe'>
  readonly observations: Pick<ObservationTable, 'confirm'>
  /** The observer of what is seen here. */
  readonly replicaId: string
  readonly clock: Clock
  readonly logger: Logger
  readonly retryMs?: number
}

/** A status on its way into the log: the latest one goes, however often the write has to be repeated. */
interface PendingWrite {
  latest: CheckOutcome
  readonly stop: AbortController
}

/** Confirmations of one statement. */
const confirmLimit = 5_000

const keyOf = ({ service, id, source }: CheckSubject): string => `${instanceKey(service, id)}#${source}`

/**
 * Brings the outcomes of checks into the registry. An outcome that differs from the evidence in memory becomes a
 * write of the log, repeated until it succeeds, the check changes its mind or is stopped: at most one write per
 * check is under way. One that confirms the evidence is kept for the next flush of freshness.
 */
export class CheckRecorder {
  readonly #options: CheckRecorderOptions
  readonly #writes = new Map<string, PendingWrite>()
  #confirmed = new Map<string, { readonly outcome: CheckOutcome; readonly at: number }>()
  #failing = false

  constructor(options: CheckRecorderOptions) {
    this.#options = options
  }

  /** Statuses that are not in the log yet. */
  get unwritten(): number {
    return this.#writes.size
  }

  take(outcome: CheckOutcome): void {
    const key = keyOf(outcome.subject)
    const write = this.#writes.get(key)
    if (write !== undefined) {
      write.latest = outcome
    } else if (this.#isNews(outcome)) {
      const begun = { latest: outcome, stop: new AbortController() }
      this.#writes.set(key, begun)
      void this.#write(key, begun)
    } else {
      this.#confirmed.set(key, { outcome, at: this.#options.clock.monotonic() })
    }
  }

  /** The check is no longer this replica's to speak for. */
  forget(subject: CheckSubject): void {
    const key = keyOf(subject)
    this.#writes.get(key)?.stop.abort()
    this.#writes.delete(key)
    this.#confirmed.delete(key)
  }

  /** Writes down when checks were last confirmed. Never rejects: the next round brings fresher times. */
  async flush(): Promise<void> {
    const { clock, logger, observations, replicaId } = this.#options
    const confirmed = [...this.#confirmed.values()]
    this.#confirmed = new Map()
    const now = clock.monotonic()
    const rows = confirmed.map(({ outcome: { subject, status, output }, at }): FreshObservation => ({
      service: subject.service,
      id: subject.id,
      source: subject.source,
      observer: replicaId,
      status,
      output,
      ageMs: now - at,
    }))
    try {
      for (let from = 0; from < rows.length; from += confirmLimit) {
        await observations.confirm(rows.slice(from, from + confirmLimit))
      }
    } catch (error) {
      logger.debug({ error: String(error), checks: rows.length }, 'the times of checks could not be written')
    }
  }

  #isNews({ subject, status }: CheckOutcome): boolean {
    const instance = this.#options.mesh.instance(subject.service, subject.id)
    if (instance === undefined) return false
    return instance.evidence.find(({ source }) => source === subject.source)?.status !== status
  }

  async #write(key: string, write: PendingWrite): Promise<void> {
    const { clock, logger, retryMs } = this.#options
    const { signal } = write.stop
    while (!signal.aborted && this.#isNews(write.latest)) {
      const outcome = write.latest
      try {
        await this.#observe(outcome)
        this.#failing = false
        // What memory does not show yet is not written twice; the next probe looks again.
        if (write.latest.status === outcome.status) break
      } catch (error) {
        if (!this.#failing)
          logger.warn({ error: String(error) }, 'the outcome of a check could not be written')
        this.#failing = true
        await clock.sleep(retryMs ?? 1_000, signal)
      }
    }
    if (this.#writes.get(key) === write) this.#writes.delete(key)
  }

  async #observe({ subject, status, output }: CheckOutcome): Promise<void> {
    const { registry, replicaId } = this.#options
    await registry.observe(
      {
        service: subject.service,
        id: subject.id,
        source: subject.source,
        observer: replicaId,
        status,
        output,
        validForMs: null,
        stillTrue: instance => stillAsked(subject, instance),
      },
      { actor: 'checks', traceparent: null },
    )
  }
}
