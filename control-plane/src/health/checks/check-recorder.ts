import { instanceKey, type Instance } from '../../domain/instance.ts'
import type { EvidenceSource } from '../../domain/evidence.ts'
import type { Registry } from '../../registry/registry.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { CheckProgress, CheckProgressTable } from '../../store/check-progress-table.ts'
import type { FreshObservation, ObservationTable } from '../../store/observation-table.ts'
import type { MeshView } from '../mesh-view.ts'
import type { AskedChecks, CheckSubject } from './asked-checks.ts'
import type { CheckOutcome } from './check-runner.ts'

export interface CheckRecorderOptions {
  readonly mesh: Pick<MeshView, 'instance'>
  readonly asked: Pick<AskedChecks, 'includes'>
  readonly registry: Pick<Registry, 'observe' | 'withdraw'>
  readonly observations: Pick<ObservationTable, 'confirm'>
  readonly progress: Pick<CheckProgressTable, 'save'>
  /** The observer of what is seen here. */
  readonly replicaId: string
  readonly clock: Clock
  readonly logger: Logger
  readonly retryMs?: number
}

/** An outcome whose last probe agreed. */
type Standing = CheckOutcome & { readonly status: 'passing' | 'critical' }

/** A status on its way into the log: the latest one goes, however often the write has to be repeated. */
interface PendingWrite {
  latest: Standing
  readonly stop: AbortController
}

/** Rows of one statement. */
const rowLimit = 1_000

export const checkKey = ({ service, id, source }: Pick<CheckSubject, 'service' | 'id' | 'source'>): string =>
  `${instanceKey(service, id)}#${source}`

/**
 * Brings the outcomes of checks into the registry. An outcome that differs from the evidence in memory becomes a
 * write of the log, repeated until it succeeds, the check changes its mind or is stopped: at most one write per
 * check is under way. One that confirms the evidence is kept for the next flush of freshness, and so is how many
 * results in a row speak against it: whoever takes the check over goes on counting there.
 */
export class CheckRecorder {
  readonly #options: CheckRecorderOptions
  readonly #writes = new Map<string, PendingWrite>()
  #confirmed = new Map<string, { readonly outcome: Standing; readonly at: number }>()
  /** Counts that differ from those in the database. */
  #counts = new Map<string, CheckProgress>()
  /** Counts in the database that are not 0. */
  readonly #counted = new Set<string>()
  readonly #withdrawals = new Set<string>()
  /** Instances of which evidence may be left that could not be taken back. */
  #left = new Map<string, Pick<Instance, 'service' | 'id'>>()
  #failing = false

  constructor(options: CheckRecorderOptions) {
    this.#options = options
  }

  /** Statuses that are not in the log yet. */
  get unwritten(): number {
    return this.#writes.size
  }

  take(outcome: CheckOutcome): void {
    const { status, against, subject } = outcome
    const key = checkKey(subject)
    this.#count(key, outcome)
    if (status === null || against > 0) return
    const standing = { ...outcome, status }
    const write = this.#writes.get(key)
    if (write !== undefined) {
      write.latest = standing
    } else if (this.#isNews(standing)) {
      const begun = { latest: standing, stop: new AbortController() }
      this.#writes.set(key, begun)
      void this.#write(key, begun)
    } else {
      this.#confirmed.set(key, { outcome: standing, at: this.#options.clock.monotonic() })
    }
  }

  /** The check is no longer this replica's to speak for. What it has counted is for the next owner. */
  forget(subject: CheckSubject): void {
    const key = checkKey(subject)
    this.#writes.get(key)?.stop.abort()
    this.#writes.delete(key)
    this.#confirmed.delete(key)
    this.#counted.delete(key)
  }

  /**
   * Takes evidence of checks back that nobody asks for any more. One write per instance at a time; where one is under
   * way, or fails, the instance is to be looked at again: see `takeLeft`.
   */
  withdraw({ service, id, registeredAt }: Instance, sources: readonly EvidenceSource[]): void {
    const key = instanceKey(service, id)
    if (this.#withdrawals.has(key)) {
      this.#left.set(key, { service, id })
      return
    }
    this.#withdrawals.add(key)
    this.#options.registry
      .withdraw({ service, id, registeredAt, sources }, { actor: 'checks', traceparent: null })
      .catch((error: unknown) => {
        this.#left.set(key, { service, id })
        this.#options.logger.warn({ error: String(error) }, 'evidence of a check could not be taken back')
      })
      .finally(() => this.#withdrawals.delete(key))
  }

  /** Instances whose evidence may have to be taken back still; each is named once. */
  takeLeft(): Iterable<Pick<Instance, 'service' | 'id'>> {
    const left = this.#left
    this.#left = new Map()
    return left.values()
  }

  /** Writes down when checks were last confirmed, and what they count. Never rejects: the next round is fresher. */
  async flush(): Promise<void> {
    const { clock, logger, observations, progress, replicaId } = this.#options
    const confirmed = [...this.#confirmed.values()]
    this.#confirmed = new Map()
    const counts = [...this.#counts.values()]
    this.#counts = new Map()
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
      for (let from = 0; from < rows.length; from += rowLimit) {
        await observations.confirm(rows.slice(from, from + rowLimit))
      }
      for (let from = 0; from < counts.length; from += rowLimit) {
        await progress.save(counts.slice(from, from + rowLimit))
      }
    } catch (error) {
      logger.debug({ error: String(error), checks: rows.length }, 'the times of checks could not be written')
    }
  }

  /** Most checks count nothing and never have: those cost nothing. */
  #count(key: string, { subject, status, against }: CheckOutcome): void {
    if (against === 0 && !this.#counted.delete(key)) return
    if (against > 0) this.#counted.add(key)
    const { service, id, source } = subject
    this.#counts.set(key, { service, id, source, status, against })
  }

  #isNews({ subject, status }: Standing): boolean {
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

  async #observe({ subject, status, output }: Standing): Promise<void> {
    const { registry, replicaId, asked } = this.#options
    await registry.observe(
      {
        service: subject.service,
        id: subject.id,
        source: subject.source,
        observer: replicaId,
        status,
        output,
        validForMs: null,
        stillTrue: instance => asked.includes(subject, instance),
      },
      { actor: 'checks', traceparent: null },
    )
  }
}
