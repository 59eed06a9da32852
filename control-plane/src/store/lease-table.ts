import { sql } from 'kysely'
import type { Database } from './database.ts'
import { reading } from './unavailable.ts'

/** A heartbeat that was taken `ageMs` ago. */
export interface LeaseBeat {
  readonly service: string
  readonly id: string
  /** Renews only this registration's lease; null: whichever is there. */
  readonly incarnation: number | null
  readonly ageMs: number
}

/** What the database, not a replica's memory, says about an instance. */
export interface RegisteredInstance {
  readonly service: string
  readonly id: string
  readonly incarnation: number
}

interface LapsedRow extends RegisteredInstance {
  readonly ttlMs: number
  readonly deregisterAfterMs: number | null
  readonly seenAt: number
}

/** What the sweeper sees. Times are milliseconds since the epoch, by Postgres's clock. */
export interface LeaseSurvey {
  readonly now: number
  /** Instances that have promised heartbeats and are not about to be removed. */
  readonly leased: number
  /** The longest TTL among them. */
  readonly maxTtlMs: number
  /** Those whose TTL has passed and whose lease is not marked expired yet. */
  readonly lapsed: readonly LapsedRow[]
}

/**
 * Heartbeats. The table is unlogged: a beat writes no WAL for its row, and after a crash of Postgres the table is
 * empty. Beats are judged and expiry is measured by Postgres's clock.
 */
export class LeaseTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /**
   * Renews leases, all in one statement: only of instances that are still registered, and not that of a newer
   * registration (a row is written with its registration and goes with its instance). A row that a crash has taken
   * is created again. A row that somebody else is writing is skipped: the same instance is being renewed, registered
   * or removed there, and waiting could deadlock with the sequencer. Returns the registrations that stand where a
   * beat named another one.
   */
  async renew(beats: readonly LeaseBeat[]): Promise<RegisteredInstance[]> {
    const { rows } = await sql<{ service: string; id: string; incarnation: string }>`
      with beat as (
        select service, id, incarnation, clock_timestamp() - age_ms * interval '1 ms' as seen_at
        from unnest(${beats.map(({ service }) => service)}::text[], ${beats.map(({ id }) => id)}::text[],
          ${beats.map(({ incarnation }) => incarnation)}::bigint[],
          ${beats.map(({ ageMs }) => Math.max(0, Math.round(ageMs)))}::integer[]) b (service, id, incarnation, age_ms)
      ), free as (
        select l.service, l.id, b.seen_at from lease l join beat b using (service, id)
        where b.incarnation is null or b.incarnation = l.incarnation
        for update of l skip locked
      ), renewed as (
        update lease l set seen_at = greatest(l.seen_at, f.seen_at) from free f
        where l.service = f.service and l.id = f.id
      ), created as (
        insert into lease (service, id, incarnation, ttl_ms, seen_at)
        select i.service, i.id, i.incarnation, (i.spec #>> '{lease,ttlMs}')::integer, b.seen_at
        from beat b join instance i using (service, id)
        where not exists (select from lease l where l.service = b.service and l.id = b.id)
          and jsonb_typeof(i.spec -> 'lease') = 'object'
          and (b.incarnation is null or b.incarnation = i.incarnation)
        order by i.service, i.id
        on conflict do nothing
      )
      select l.service, l.id, l.incarnation from lease l join beat b using (service, id)
      where b.incarnation <> l.incarnation`.execute(this.#database)
    return rows.map(row => ({ ...row, incarnation: Number(row.incarnation) }))
  }

  /** The authoritative word on an instance. Rejects with `database_unavailable`. */
  async find(service: string, id: string): Promise<RegisteredInstance | undefined> {
    return reading(async () => {
      const row = await this.#database
        .selectFrom('instance')
        .select('incarnation')
        .where('service', '=', service)
        .where('id', '=', id)
        .executeTakeFirst()
      return row === undefined ? undefined : { service, id, incarnation: Number(row.incarnation) }
    })
  }

  /**
   * One look at all leases. The registration of an instance gives its row the TTL; one without a lease has no row. Of
   * instances only those are looked up whose lease has lapsed or that leave (`offset 0` keeps the planner from reading
   * the evidence of all of them instead).
   */
  async survey(): Promise<LeaseSurvey> {
    const { rows } = await sql<LeaseSurvey>`
      with clock as materialized (select clock_timestamp() as now), lapsed as (
        select l.service, l.id, l.incarnation, l.ttl_ms as "ttlMs",
          (i.spec #>> '{lease,deregisterAfterMs}')::bigint as "deregisterAfterMs",
          (extract(epoch from l.seen_at) * 1000)::float8 as "seenAt"
        from clock t join lease l on l.seen_at + l.ttl_ms * interval '1 ms' < t.now
        cross join lateral (
          select spec, evidence, remove_at from instance where service = l.service and id = l.id offset 0
        ) i
        where i.remove_at is null and not i.evidence @> '[{"source": "lease", "status": "critical"}]'
      ), leaving as (
        select count(*) as rows from (select service, id from instance where remove_at is not null offset 0) i
        cross join lateral (select from lease where service = i.service and id = i.id offset 0) l
      )
      select (extract(epoch from t.now) * 1000)::float8 as now,
        (l.rows - leaving.rows)::integer as leased,
        l."maxTtlMs",
        coalesce((select json_agg(lapsed) from lapsed), '[]') as lapsed
      from clock t, leaving, (select count(*) as rows, coalesce(max(ttl_ms), 0) as "maxTtlMs" from lease) l`.execute(
      this.#database,
    )
    const row = rows[0]
    if (row === undefined) throw new Error('the survey of leases returned no row')
    return row
  }

  /**
   * Gives instances without a lease row one as of now: what was lost counts as seen when the loss is noticed. Those that
   * were expired already, too: what is removed is what has a lease that is over.
   */
  async startMissing(): Promise<void> {
    await sql`
      insert into lease (service, id, incarnation, ttl_ms, seen_at)
      select i.service, i.id, i.incarnation, (i.spec #>> '{lease,ttlMs}')::integer, clock_timestamp()
      from (
        -- What they have promised is looked at only where there is no row.
        select service, id, incarnation, spec from instance
        where not exists (select from lease l where l.service = instance.service and l.id = instance.id)
        offset 0
      ) i
      where jsonb_typeof(i.spec -> 'lease') = 'object'
      order by i.service, i.id
      on conflict do nothing`.execute(this.#database)
  }

  /**
   * Instances whose time of removal has come, longest overdue first: they leave and their drain is over, or they have been
   * expired for long and their TTL has passed also since `serviceSince`.
   */
  async removable({
    limit,
    serviceSince,
  }: {
    readonly limit: number
    readonly serviceSince: number
  }): Promise<{ readonly service: string; readonly id: string }[]> {
    const { rows } = await sql<{ service: string; id: string }>`
      select i.service, i.id from instance i left join lease l using (service, id)
      where i.remove_at <= clock_timestamp() and ((i.override ->> 'leaving')::boolean
        or greatest(l.seen_at, to_timestamp(${serviceSince / 1_000}::float8)) + l.ttl_ms * interval '1 ms'
          < clock_timestamp())
      order by i.remove_at limit ${limit}::integer`.execute(this.#database)
    return rows
  }

  /** Removes rows of instances that are gone: a beat may have created one while its instance was being removed. */
  async prune(): Promise<void> {
    await sql`delete from lease l where not exists
      (select from instance i where i.service = l.service and i.id = l.id)`.execute(this.#database)
  }
}
