/** The first round trip of a batch: a transaction with the mesh's lock, and what its writes touch. */
import type pg from 'pg'
import { instanceKey } from '../domain/instance.ts'
import type { BatchInput } from './batch.ts'
import { textArray } from './binary-array.ts'
import { toDocument, toInstance, type DocumentRow, type InstanceRow } from './rows.ts'
import { PartedStatement } from './statement.ts'
import type { LeaseRow, Touch } from './write.ts'

/** Also the NOTIFY channel's name; the notification is empty, a hint that there is something to read. */
export const changeChannel = 'waymark_change'

/** Any constant; the same on every replica and in every version. */
const meshLock = '7400000002'

/** A transaction that has the mesh's lock. Its later statements see all that was committed before. */
const beginLocked = `begin; select pg_advisory_xact_lock(${meshLock})`

/** More than the free space that a page of the table could have left. */
const probeBytes = 65_536

/** Whether the database takes writes, without a word in the log: what it does needs room on the disk, as writes do. */
export const probe = async (client: pg.Client): Promise<void> => {
  await client.query(
    `${beginLocked}; truncate write_probe; ` +
      `insert into write_probe select repeat(md5(n::text), 32) from generate_series(1, ${probeBytes / 1_024}) n; commit`,
  )
}

type Key = readonly [string, string]

/** The two columns of `service/id` or `kind/name` keys. */
const halves = (keys: Iterable<Key>): [Buffer, Buffer] => {
  const all = [...keys]
  return [textArray(all.map(([first]) => first)), textArray(all.map(([, second]) => second))]
}

const readQuery = (wanted: {
  readonly instances: ReadonlyMap<string, Key>
  readonly leases: ReadonlyMap<string, Key>
  readonly documents: ReadonlyMap<string, Key>
  readonly roles: readonly string[]
}) => {
  const { instances, leases, documents, roles } = wanted
  const statement = new PartedStatement('batch-read')
  if (instances.size > 0) {
    statement.add(
      'i',
      halves(instances.values()),
      (services, ids) => `
        coalesce((select json_agg(i) from unnest(${services}::text[], ${ids}::text[]) k (service, id)
          join instance i using (service, id)), '[]') as instances`,
    )
  }
  if (leases.size > 0) {
    statement.add(
      'l',
      halves(leases.values()),
      (services, ids) => `
        coalesce((select json_agg(json_build_object('service', l.service, 'id', l.id, 'incarnation', l.incarnation,
            'ttlMs', l.ttl_ms, 'seenAt', (extract(epoch from l.seen_at) * 1000)::float8))
          from unnest(${services}::text[], ${ids}::text[]) k (service, id)
          join lease l using (service, id)), '[]') as leases`,
    )
  }
  if (documents.size > 0) {
    statement.add(
      'd',
      halves(documents.values()),
      (kinds, names) => `
        coalesce((select json_agg(d) from unnest(${kinds}::text[], ${names}::text[]) k (kind, name)
          join document d using (kind, name)), '[]') as documents`,
    )
  }
  if (roles.length > 0) {
    statement.add(
      'r',
      [roles],
      names => `
        coalesce((select json_agg(json_build_object('name', o.name, 'fence', o.fence)) from role o
          where o.name = any (${names}::text[]) and o.expires_at > clock_timestamp()), '[]') as roles`,
    )
  }
  const always = `r.revision::text as revision, r.incarnation::text as incarnation,
    (extract(epoch from clock_timestamp()) * 1000)::float8 as now`
  return statement.query(`select ${[always, ...statement.parts].join(', ')} from mesh_revision r`)
}

interface ReadRow {
  readonly revision: string
  readonly incarnation: string
  readonly now: number
  /** What was not asked for is absent. */
  readonly instances?: readonly InstanceRow[]
  readonly leases?: readonly (LeaseRow & { readonly service: string; readonly id: string })[]
  readonly documents?: readonly DocumentRow[]
  readonly roles?: readonly { readonly name: string; readonly fence: number }[]
}

/** What the first round trip has found. */
export interface BatchRead {
  readonly input: BatchInput
  /** Role name to its current fence; an expired role is absent. */
  readonly fences: ReadonlyMap<string, number>
}

/** One round trip: both statements are sent at once. */
export const beginAndRead = async (
  client: pg.Client,
  touches: readonly Touch[],
  roles: readonly string[],
): Promise<BatchRead> => {
  const instances = new Map<string, Key>()
  const leases = new Map<string, Key>()
  const documents = new Map<string, Key>()
  for (const touch of touches) {
    if (touch.kind === 'instance') {
      const key: Key = [touch.service, touch.id]
      instances.set(instanceKey(...key), key)
      if (touch.lease === true) leases.set(instanceKey(...key), key)
    } else documents.set(`${touch.documentKind}/${touch.name}`, [touch.documentKind, touch.name])
  }
  const [, answer] = await Promise.all([
    client.query(beginLocked),
    client.query<ReadRow>(readQuery({ instances, leases, documents, roles })),
  ])
  const row = answer.rows[0]
  if (row === undefined) throw new Error('mesh_revision has no row: the database was not migrated')
  return {
    input: {
      revision: Number(row.revision),
      incarnation: Number(row.incarnation),
      now: Math.floor(row.now),
      instances: (row.instances ?? []).map(toInstance),
      leases: new Map((row.leases ?? []).map(lease => [instanceKey(lease.service, lease.id), lease])),
      documents: (row.documents ?? []).map(toDocument),
    },
    fences: new Map((row.roles ?? []).map(({ name, fence }) => [name, fence])),
  }
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
