import { sql } from 'kysely'
import type { EvidenceSource, EvidenceStatus } from '../domain/evidence.ts'
import type { Database } from './database.ts'

/** A check's latest result, `ageMs` old. */
export interface FreshObservation {
  readonly service: string
  readonly id: string
  readonly source: EvidenceSource
  readonly observer: string
  readonly status: EvidenceStatus
  readonly output: string
  readonly ageMs: number
}

/**
 * When each check was last confirmed. The evidence itself is in the log, which only changes of status reach; this
 * unlogged table says how fresh it is.
 */
export class ObservationTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /**
   * Keeps the latest of each, in one statement; of instances that are gone nothing is kept. Skips rows that
   * somebody else is writing (see LeaseTable.renew): the next round brings a fresher one.
   */
  async confirm(observations: readonly FreshObservation[]): Promise<void> {
    const column = <K extends keyof FreshObservation>(name: K) => observations.map(row => row[name])
    await sql`
      with current as (
        select o.service, o.id, o.source, o.observer, o.status, o.output,
          clock_timestamp() - o.age_ms * interval '1 ms' as observed_at
        from unnest(${column('service')}::text[], ${column('id')}::text[], ${column('source')}::text[],
          ${column('observer')}::text[], ${column('status')}::text[], ${column('output')}::text[],
          ${observations.map(({ ageMs }) => Math.max(0, Math.round(ageMs)))}::integer[])
          o (service, id, source, observer, status, output, age_ms)
        join instance i using (service, id)
      ), free as (
        select o.service, o.id, o.source from observation o join current c using (service, id, source)
        where o.observed_at < c.observed_at
        for update of o skip locked
      ), confirmed as (
        update observation o
        set observer = c.observer, status = c.status, output = c.output, observed_at = c.observed_at
        from free f join current c using (service, id, source)
        where o.service = f.service and o.id = f.id and o.source = f.source
      )
      insert into observation (service, id, source, observer, status, output, observed_at)
      select service, id, source, observer, status, output, observed_at from current c
      where not exists (select from observation o
        where o.service = c.service and o.id = c.id and o.source = c.source)
      order by service, id, source
      on conflict do nothing`.execute(this.#database)
  }

  /** Removes rows of instances that are gone, here and among what checks count (CheckProgressTable). */
  async prune(): Promise<void> {
    await sql`delete from observation o where not exists
      (select from instance i where i.service = o.service and i.id = o.id)`.execute(this.#database)
    await sql`delete from check_progress p where not exists
      (select from instance i where i.service = p.service and i.id = p.id)`.execute(this.#database)
  }
}
