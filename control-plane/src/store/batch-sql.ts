/** The two round trips of a batch between taking the lock and committing: read what is touched, write the result. */
import type pg from 'pg'
import type { Change } from '../domain/change.ts'
import { instanceKey } from '../domain/instance.ts'
import type { Batch, BatchInput } from './batch.ts'
import { toDocument, toInstance, type DocumentRow, type InstanceRow } from './rows.ts'
import type { LeaseRow, Touch } from './write.ts'

/** Also the NOTIFY channel's name; the notification is empty, a hint that there is something to read. */
export const changeChannel = 'waymark_change'

/** Any constant; the same on every replica and in every version. */
const meshLock = '7400000002'

/** One round trip: a transaction that has the mesh's lock. Its later statements see all that was committed before. */
export const beginLocked = `begin; select pg_advisory_xact_lock(${meshLock})`

/** More than the free space that a page of the table could have left. */
const probeBytes = 65_536

/** Whether the database takes writes, without a word in the log: what it does needs room on the disk, as writes do. */
export const probe = async (client: pg.Client): Promise<void> => {
  await client.query(
    `${beginLocked}; truncate write_probe; ` +
      `insert into write_probe select repeat(md5(n::text), 32) from generate_series(1, ${probeBytes / 1_024}) n; commit`,
  )
}

const readStatement = {
  name: 'batch-read',
  text: `
    select r.revision::text as revision, r.incarnation::text as incarnation,
      (extract(epoch from clock_timestamp()) * 1000)::float8 as now,
      coalesce((select json_agg(i) from unnest($1::text[], $2::text[]) k (service, id)
        join instance i using (service, id)), '[]') as instances,
      coalesce((select json_agg(json_build_object('service', l.service, 'id', l.id, 'incarnation', l.incarnation,
          'ttlMs', l.ttl_ms, 'seenAt', (extract(epoch from l.seen_at) * 1000)::float8))
        from unnest($1::text[], $2::text[]) k (service, id) join lease l using (service, id)), '[]') as leases,
      coalesce((select json_agg(d) from unnest($3::text[], $4::text[]) k (kind, name)
        join document d using (kind, name)), '[]') as documents,
      coalesce((select json_agg(json_build_object('name', o.name, 'fence', o.fence)) from role o
        where o.name = any ($5::text[]) and o.expires_at > clock_timestamp()), '[]') as roles
    from mesh_revision r`,
}

interface ReadRow {
  readonly revision: string
  readonly incarnation: string
  readonly now: number
  readonly instances: readonly InstanceRow[]
  readonly leases: readonly (LeaseRow & { readonly service: string; readonly id: string })[]
  readonly documents: readonly DocumentRow[]
  readonly roles: readonly { readonly name: string; readonly fence: number }[]
}

export interface BatchRead {
  readonly input: BatchInput
  /** Role name to its current fence; an expired role is absent. */
  readonly fences: ReadonlyMap<string, number>
}

export const readBatch = async (
  client: pg.Client,
  touches: readonly Touch[],
  roles: readonly string[],
): Promise<BatchRead> => {
  const instances = new Map<string, [string, string]>()
  const documents = new Map<string, [string, string]>()
  for (const touch of touches) {
    if (touch.kind === 'instance')
      instances.set(instanceKey(touch.service, touch.id), [touch.service, touch.id])
    else documents.set(`${touch.documentKind}/${touch.name}`, [touch.documentKind, touch.name])
  }
  const columns = (keys: Map<string, [string, string]>, index: 0 | 1) =>
    [...keys.values()].map(key => key[index])
  const answer = await client.query<ReadRow>({
    ...readStatement,
    values: [
      columns(instances, 0),
      columns(instances, 1),
      columns(documents, 0),
      columns(documents, 1),
      roles,
    ],
  })
  const row = answer.rows[0]
  if (row === undefined) throw new Error('mesh_revision has no row: the database was not migrated')
  return {
    input: {
      revision: Number(row.revision),
      incarnation: Number(row.incarnation),
      now: Math.floor(row.now),
      instances: row.instances.map(toInstance),
      leases: new Map(row.leases.map(lease => [instanceKey(lease.service, lease.id), lease])),
      documents: row.documents.map(toDocument),
    },
    fences: new Map(row.roles.map(({ name, fence }) => [name, fence])),
  }
}

const writeStatement = {
  name: 'batch-write',
  text: `
    with gone as (
      delete from instance i using unnest($1::text[], $2::text[]) k (service, id)
      where i.service = k.service and i.id = k.id
    ), gone_observations as (
      delete from observation o using unnest($1::text[], $2::text[]) k (service, id)
      where o.service = k.service and o.id = k.id
    ), gone_leases as (
      delete from lease l using unnest($3::text[], $4::text[]) k (service, id)
      where l.service = k.service and l.id = k.id
    ), kept as (
      insert into instance
      select service, id, incarnation, spec, verdict, evidence, override, "removeAt", "registeredAt", revision,
        flapping, "reviewAt"
      from jsonb_to_recordset($5::jsonb) x (service text, id text, incarnation bigint, spec jsonb, verdict text,
        evidence jsonb, override jsonb, "removeAt" timestamptz, "registeredAt" timestamptz, revision bigint,
        flapping jsonb, "reviewAt" timestamptz)
      on conflict (service, id) do update set incarnation = excluded.incarnation, spec = excluded.spec,
        verdict = excluded.verdict, evidence = excluded.evidence, override = excluded.override,
        remove_at = excluded.remove_at, registered_at = excluded.registered_at, revision = excluded.revision,
        flapping = excluded.flapping, review_at = excluded.review_at
    ), beats as (
      insert into lease
      select service, id, incarnation, "ttlMs", clock_timestamp()
      from jsonb_to_recordset($6::jsonb) x (service text, id text, incarnation bigint, "ttlMs" integer)
      on conflict (service, id) do update
        set incarnation = excluded.incarnation, ttl_ms = excluded.ttl_ms, seen_at = excluded.seen_at
    ), gone_documents as (
      delete from document d using unnest($7::text[], $8::text[]) k (kind, name)
      where d.kind = k.kind and d.name = k.name
    ), kept_documents as (
      insert into document
      select kind, name, spec, revision
      from jsonb_to_recordset($9::jsonb) x (kind text, name text, spec jsonb, revision bigint)
      on conflict (kind, name) do update set spec = excluded.spec, revision = excluded.revision
    ), log as (
      insert into change (id, aggregatetype, aggregateid, type, payload, revision, position, occurred_at, actor,
        traceparent)
      select id, "aggregateType", "aggregateId", type, payload, revision, position, "occurredAt", actor, traceparent
      from jsonb_to_recordset($10::jsonb) x (id uuid, "aggregateType" text, "aggregateId" text, type text,
        payload jsonb, revision bigint, position integer, "occurredAt" timestamptz, actor text, traceparent text)
    ), counter as (
      update mesh_revision set revision = $11, incarnation = $12
    )
    select case when $13 then pg_notify('${changeChannel}', '') end`,
}

const logEntry = ({ before, after, ...entry }: Change): object => ({ ...entry, payload: { before, after } })

/** `service/id` or `kind/name`: only the second part may hold a further slash. */
const halves = (keys: readonly string[]): [string[], string[]] => [
  keys.map(key => key.slice(0, key.indexOf('/'))),
  keys.map(key => key.slice(key.indexOf('/') + 1)),
]

export const writeBatch = async (client: pg.Client, batch: Batch): Promise<void> => {
  const saved = batch.savedInstances
  const leaseless = saved
    .filter(({ spec }) => spec.lease === null)
    .map(({ service, id }) => instanceKey(service, id))
  const removed = batch.removedInstances
  const beats = batch.beats.map(({ service, id, incarnation, spec }) => ({
    service,
    id,
    incarnation,
    ttlMs: spec.lease?.ttlMs,
  }))
  const changes = batch.sets.flatMap(set => set.changes)
  await client.query({
    ...writeStatement,
    values: [
      ...halves(removed),
      ...halves([...removed, ...leaseless]),
      JSON.stringify(saved),
      JSON.stringify(beats),
      ...halves(batch.removedDocuments),
      JSON.stringify(batch.savedDocuments),
      JSON.stringify(changes.map(logEntry)),
      batch.revision,
      batch.incarnation,
      changes.length > 0,
    ],
  })
}

/** Revisions in one partition of the log. */
const partitionSize = 1_000_000

/** Makes room for the log ahead of the batch; returns the first revision that has no partition. */
export const makeRoom = async (client: pg.Client, revision: number): Promise<number> => {
  const answer = await client.query<{ upper: string }>(
    'select ensure_change_partition($1, $2)::text as upper',
    [revision, partitionSize],
  )
  return Number(answer.rows[0]?.upper)
}
