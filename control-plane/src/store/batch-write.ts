/** The second and last round trip of a batch: its rows, its part of the log, the counters, and the commit. */
import pg from 'pg'
import type { Change } from '../domain/change.ts'
import type { Batch } from './batch.ts'
import { changeChannel } from './batch-sql.ts'
import { PartedStatement } from './statement.ts'
import { isUnavailable } from './unavailable.ts'

/** An instance as the JSON of its domain type. */
const instanceFields = `service text, id text, incarnation bigint, spec jsonb, verdict text, evidence jsonb,
  override jsonb, flapping jsonb, "reviewAt" timestamptz, "removeAt" timestamptz, "registeredAt" timestamptz,
  revision bigint`

/** `source` has the columns of `instanceFields` as `i`. */
const saveInstances = (source: string): string => `
  insert into instance (service, id, incarnation, spec, verdict, evidence, override, flapping, review_at, remove_at,
    registered_at, revision)
  select i.service, i.id, i.incarnation, i.spec, i.verdict, i.evidence, i.override, i.flapping, i."reviewAt",
    i."removeAt", i."registeredAt", i.revision
  from ${source}
  on conflict (service, id) do update set incarnation = excluded.incarnation, spec = excluded.spec,
    verdict = excluded.verdict, evidence = excluded.evidence, override = excluded.override,
    flapping = excluded.flapping, review_at = excluded.review_at, remove_at = excluded.remove_at,
    registered_at = excluded.registered_at, revision = excluded.revision`

/** `service/id` or `kind/name`: only the second part may hold a further slash. */
const halves = (keys: readonly string[]): [string[], string[]] => [
  keys.map(key => key.slice(0, key.indexOf('/'))),
  keys.map(key => key.slice(key.indexOf('/') + 1)),
]

/** `stands`: the row is what this entry says. Text is turned into jsonb once, for the log and for the row. */
const logEntry = ({ before, after, ...entry }: Change, stands: boolean): object => ({
  ...entry,
  payload: { before, after },
  ...(stands ? { stands } : {}),
})

const addInstances = (statement: PartedStatement, batch: Batch): void => {
  const { removedInstances: removed, amendedInstances: amended, endedLeases, beats } = batch
  if (removed.length > 0) {
    statement.add(
      'g',
      halves(removed),
      (services, ids) => `gone as (
        delete from instance i using unnest(${services}::text[], ${ids}::text[]) k (service, id)
        where i.service = k.service and i.id = k.id
      ), gone_observations as (
        delete from observation o using unnest(${services}::text[], ${ids}::text[]) k (service, id)
        where o.service = k.service and o.id = k.id
      )`,
    )
  }
  if (endedLeases.length > 0) {
    statement.add(
      'u',
      halves(endedLeases),
      (services, ids) => `gone_leases as (
        delete from lease l using unnest(${services}::text[], ${ids}::text[]) k (service, id)
        where l.service = k.service and l.id = k.id
      )`,
    )
  }
  if (amended.length > 0) {
    statement.add(
      'a',
      [JSON.stringify(amended)],
      rows => `amended as (${saveInstances(`jsonb_to_recordset(${rows}::jsonb) i (${instanceFields})`)})`,
    )
  }
  if (beats.length > 0) {
    const rows = beats.map(({ service, id, incarnation, spec }) => ({
      service,
      id,
      incarnation,
      ttlMs: spec.lease?.ttlMs,
    }))
    statement.add(
      'b',
      [JSON.stringify(rows)],
      beaten => `beats as (
        insert into lease (service, id, incarnation, ttl_ms, seen_at)
        select service, id, incarnation, "ttlMs", clock_timestamp()
        from jsonb_to_recordset(${beaten}::jsonb) x (service text, id text, incarnation bigint, "ttlMs" integer)
        on conflict (service, id) do update
          set incarnation = excluded.incarnation, ttl_ms = excluded.ttl_ms, seen_at = excluded.seen_at
      )`,
    )
  }
}

const addDocuments = (statement: PartedStatement, { removedDocuments, savedDocuments }: Batch): void => {
  if (removedDocuments.length > 0) {
    statement.add(
      'gd',
      halves(removedDocuments),
      (kinds, names) => `gone_documents as (
        delete from document d using unnest(${kinds}::text[], ${names}::text[]) k (kind, name)
        where d.kind = k.kind and d.name = k.name
      )`,
    )
  }
  if (savedDocuments.length > 0) {
    statement.add(
      'd',
      [JSON.stringify(savedDocuments)],
      documents => `kept_documents as (
        insert into document (kind, name, spec, revision)
        select kind, name, spec, revision
        from jsonb_to_recordset(${documents}::jsonb) x (kind text, name text, spec jsonb, revision bigint)
        on conflict (kind, name) do update set spec = excluded.spec, revision = excluded.revision
      )`,
    )
  }
}

const addLog = (statement: PartedStatement, batch: Batch, changes: readonly Change[]): void => {
  const entries = changes.map(change => logEntry(change, batch.stands(change)))
  statement.add(
    'l',
    [JSON.stringify(entries)],
    log => `entry as materialized (
      select * from jsonb_to_recordset(${log}::jsonb) x (id uuid, "aggregateType" text, "aggregateId" text,
        type text, payload jsonb, revision bigint, position integer, "occurredAt" timestamptz, actor text,
        traceparent text, stands boolean)
    ), log as (
      insert into change (id, aggregatetype, aggregateid, type, payload, revision, position, occurred_at, actor,
        traceparent)
      select id, "aggregateType", "aggregateId", type, payload, revision, position, "occurredAt", actor, traceparent
      from entry
    )`,
  )
  if (!changes.some(change => batch.stands(change))) return
  const rows = `entry e, jsonb_to_record(e.payload -> 'after') i (${instanceFields}) where e.stands`
  statement.add('k', [], () => `kept as (${saveInstances(rows)})`)
}

const writeQuery = (batch: Batch) => {
  const statement = new PartedStatement('batch-write')
  const changes = batch.sets.flatMap(set => set.changes)
  addInstances(statement, batch)
  addDocuments(statement, batch)
  if (changes.length > 0) addLog(statement, batch, changes)
  statement.add(
    'c',
    [batch.revision, batch.incarnation],
    (revision, incarnation) => `counter as (
      update mesh_revision set revision = ${revision}, incarnation = ${incarnation}
    )`,
  )
  const notify = changes.length > 0 ? `pg_notify('${changeChannel}', '')` : ''
  return statement.query(`with ${statement.parts.join(', ')} select ${notify}`)
}

/** What kept a batch from being written; both null: it is committed. */
interface WriteOutcome {
  /** The server, or this process, refused it: nothing was written. */
  readonly refused: Error | null
  /** The connection ended before the server had confirmed the commit: it may have happened. */
  readonly lost: Error | null
}

/** One round trip: rows and commit are sent at once; where the rows are refused, the commit is a rollback. */
export const writeAndCommit = async (client: pg.Client, batch: Batch): Promise<WriteOutcome> => {
  const written = batch.empty ? null : client.query(writeQuery(batch))
  const [write, commit] = await Promise.allSettled([written, client.query('commit')])
  const rows = errorOf(write)
  if (rows !== null) {
    // What the server says of the rows it says before it has seen the commit; a broken connection says nothing.
    const certain = rows instanceof pg.DatabaseError || !isUnavailable(rows)
    return certain ? { refused: rows, lost: null } : { refused: null, lost: rows }
  }
  const end = errorOf(commit)
  return isUnavailable(end) ? { refused: null, lost: end } : { refused: end, lost: null }
}

const errorOf = (result: PromiseSettledResult<unknown>): Error | null => {
  if (result.status === 'fulfilled') return null
  return result.reason instanceof Error ? result.reason : new Error(String(result.reason))
}
