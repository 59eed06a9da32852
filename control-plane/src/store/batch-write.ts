/** The last round trip of a batch: its rows, its part of the log, the counters, and the commit. */
import pg from 'pg'
import type { Change } from '../domain/change.ts'
import type { Instance } from '../domain/instance.ts'
import type { BatchPart, InstanceRow } from './batch-part.ts'
import {
  bigintArray,
  booleanArray,
  integerArray,
  jsonbArray,
  textArray,
  timestampArray,
} from './binary-array.ts'
import { changeChannel } from './batch-sql.ts'
import { PartedStatement } from './statement.ts'
import { isUnavailable } from './unavailable.ts'

/** An instance as the JSON of its domain type. */
const instanceFields = `service text, id text, incarnation bigint, spec jsonb, verdict text, evidence jsonb,
  override jsonb, flapping jsonb, "reviewAt" timestamptz, "removeAt" timestamptz, "registeredAt" timestamptz,
  revision bigint`

/** `source`: a query of the columns of `instance` in this order. */
const insertInstances = (source: string): string => `
  insert into instance (service, id, incarnation, spec, verdict, evidence, override, flapping, review_at, remove_at,
    registered_at, revision)
  ${source}`

/** As `insertInstances`, also of those that have a row. */
const saveInstances = (source: string): string => `${insertInstances(source)}
  on conflict (service, id) do update set incarnation = excluded.incarnation, spec = excluded.spec,
    verdict = excluded.verdict, evidence = excluded.evidence, override = excluded.override,
    flapping = excluded.flapping, review_at = excluded.review_at, remove_at = excluded.remove_at,
    registered_at = excluded.registered_at, revision = excluded.revision`

/** `service/id` or `kind/name`: only the second part may hold a further slash. */
const halves = (keys: readonly string[]): [Buffer, Buffer] => [
  textArray(keys.map(key => key.slice(0, key.indexOf('/')))),
  textArray(keys.map(key => key.slice(key.indexOf('/') + 1))),
]

const addInstances = (statement: PartedStatement, part: BatchPart): void => {
  const { removedInstances: removed, amendedInstances: amended, endedLeases, beats } = part
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
      rows =>
        `amended as (${saveInstances(`
        select i.service, i.id, i.incarnation, i.spec, i.verdict, i.evidence, i.override, i.flapping, i."reviewAt",
          i."removeAt", i."registeredAt", i.revision
        from jsonb_to_recordset(${rows}::jsonb) i (${instanceFields})`)})`,
    )
  }
  if (beats.length > 0) {
    statement.add(
      'b',
      [
        textArray(beats.map(({ service }) => service)),
        textArray(beats.map(({ id }) => id)),
        bigintArray(beats.map(({ incarnation }) => incarnation)),
        integerArray(beats.map(({ spec }) => spec.lease?.ttlMs ?? null)),
      ],
      (services, ids, incarnations, ttls) => `beats as (
        insert into lease (service, id, incarnation, ttl_ms, seen_at)
        select service, id, incarnation, ttl_ms, clock_timestamp()
        from unnest(${services}::text[], ${ids}::text[], ${incarnations}::bigint[], ${ttls}::integer[])
          b (service, id, incarnation, ttl_ms)
        on conflict (service, id) do update
          set incarnation = excluded.incarnation, ttl_ms = excluded.ttl_ms, seen_at = excluded.seen_at
      )`,
    )
  }
}

const addDocuments = (statement: PartedStatement, { removedDocuments, savedDocuments }: BatchPart): void => {
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

/** Name, type and elements. */
type Column = readonly [name: string, type: string, values: Buffer]

const logColumns = (changes: readonly Change[]): readonly Column[] => [
  ['change', 'text', textArray(changes.map(({ id }) => id))],
  ['aggregatetype', 'text', textArray(changes.map(({ aggregateType }) => aggregateType))],
  ['aggregateid', 'text', textArray(changes.map(({ aggregateId }) => aggregateId))],
  ['type', 'text', textArray(changes.map(({ type }) => type))],
  ['payload', 'jsonb', jsonbArray(changes.map(({ before, after }) => JSON.stringify({ before, after })))],
  ['revision', 'bigint', bigintArray(changes.map(({ revision }) => revision))],
  ['position', 'integer', integerArray(changes.map(({ position }) => position))],
  ['occurred_at', 'timestamptz', timestampArray(changes.map(({ occurredAt }) => occurredAt))],
  ['actor', 'text', textArray(changes.map(({ actor }) => actor))],
  ['traceparent', 'text', textArray(changes.map(({ traceparent }) => traceparent))],
]

/** What the row of an instance needs besides the log; null: this change is not what its row is to be. */
const rowColumns = (rows: readonly (InstanceRow | null)[]): readonly Column[] => {
  const of = <T>(value: (instance: Instance) => T): (T | null)[] =>
    rows.map(row => (row === null ? null : value(row.instance)))
  return [
    ['fresh', 'boolean', booleanArray(rows.map(row => row?.fresh ?? null))],
    ['service', 'text', textArray(of(({ service }) => service))],
    ['id', 'text', textArray(of(({ id }) => id))],
    ['incarnation', 'bigint', bigintArray(of(({ incarnation }) => incarnation))],
    ['verdict', 'text', textArray(of(({ verdict }) => verdict))],
    ['review_at', 'timestamptz', timestampArray(of(({ reviewAt }) => reviewAt))],
    ['remove_at', 'timestamptz', timestampArray(of(({ removeAt }) => removeAt))],
    ['registered_at', 'timestamptz', timestampArray(of(({ registeredAt }) => registeredAt))],
  ]
}

/** An element of a state, from the log's own jsonb: that is parsed once, for the log and for the row. */
const field = (name: string): string => `nullif(payload #> '{after,${name}}', 'null')`

const addLog = (statement: PartedStatement, part: BatchPart, changes: readonly Change[]): void => {
  const rows = changes.map(change => part.rowOf(change))
  const inserts = rows.some(row => row?.fresh === true)
  const updates = rows.some(row => row?.fresh === false)
  const stand = inserts || updates
  const columns = [...logColumns(changes), ...(stand ? rowColumns(rows) : [])]
  statement.add(
    stand ? 'k' : 'l',
    columns.map(([, , values]) => values),
    (...arrays) => `entry as materialized (
      select * from unnest(${columns.map(([, type], index) => `${arrays[index] ?? ''}::${type}[]`).join(', ')})
        e (${columns.map(([name]) => name).join(', ')})
    ), log as (
      insert into change (id, aggregatetype, aggregateid, type, payload, revision, position, occurred_at, actor,
        traceparent)
      select change::uuid, aggregatetype, aggregateid, type, payload, revision, position, occurred_at, actor,
        traceparent
      from entry
    )`,
  )
  const entries = `
    select service, id, incarnation, ${field('spec')}, verdict, ${field('evidence')}, ${field('override')},
      ${field('flapping')}, review_at, remove_at, registered_at, revision
    from entry`
  // Which of them have no row is known: nobody else makes one under the mesh's lock. To look for each costs a fifth of a batch.
  if (inserts) statement.add('i', [], () => `inserted as (${insertInstances(`${entries} where fresh`)})`)
  if (updates) statement.add('o', [], () => `kept as (${saveInstances(`${entries} where not fresh`)})`)
}

/** Where the log stands after a batch. */
export interface BatchEnd {
  readonly revision: number
  readonly incarnation: number
  /** Whether the log has grown. */
  readonly changed: boolean
}

/** `end`: null while the batch goes on. */
const writeQuery = (part: BatchPart, end: BatchEnd | null) => {
  const statement = new PartedStatement('batch-write')
  const changes = part.sets.flatMap(set => set.changes)
  addInstances(statement, part)
  addDocuments(statement, part)
  if (changes.length > 0) addLog(statement, part, changes)
  if (end !== null) {
    statement.add(
      end.changed ? 'n' : 'c',
      [end.revision, end.incarnation],
      (revision, incarnation) => `counter as (
        update mesh_revision set revision = ${revision}, incarnation = ${incarnation}
      )`,
    )
  }
  const notify = end?.changed === true ? `pg_notify('${changeChannel}', '')` : ''
  return statement.query(`with ${statement.parts.join(', ')} select ${notify}`)
}

/** Sends the rows of a part, of a batch that goes on. Resolves with what kept them from being written; never rejects. */
export const writePart = (client: pg.Client, part: BatchPart): Promise<Error | null> =>
  client.query(writeQuery(part, null)).then(() => null, toError)

/** What kept a batch from being written; both null: it is committed. */
export interface WriteOutcome {
  /** The server, or this process, refused it: nothing was written. */
  readonly refused: Error | null
  /** The connection ended before the server had confirmed the commit: it may have happened. */
  readonly lost: Error | null
}

/**
 * Sends the last rows and the commit at once; where rows are refused, the commit is a rollback. `end` null: there is
 * nothing to write. `earlier`: of `writePart`.
 */
export const writeAndCommit = async (
  client: pg.Client,
  {
    part,
    end,
    earlier = [],
  }: {
    readonly part: BatchPart
    readonly end: BatchEnd | null
    readonly earlier?: readonly Promise<Error | null>[]
  },
): Promise<WriteOutcome> => {
  const written = end === null ? null : client.query(writeQuery(part, end)).then(() => null, toError)
  const committed = client.query('commit').then(() => null, toError)
  const errors = await Promise.all([...earlier, written])
  const rows = errors.find(error => error !== null) ?? null
  const commit = await committed
  if (rows !== null) {
    // What the server says of the rows it says before it has seen the commit; a broken connection says nothing.
    const certain = rows instanceof pg.DatabaseError || !isUnavailable(rows)
    return certain ? { refused: rows, lost: null } : { refused: null, lost: rows }
  }
  return isUnavailable(commit) ? { refused: null, lost: commit } : { refused: commit, lost: null }
}

const toError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)))
