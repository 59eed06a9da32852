import { readFile } from 'node:fs/promises'
import { migrate } from '@waymark/control-plane/store/migrate.ts'
import pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { loadMesh } from '../bench/load-mesh.ts'
import { startOwnPostgres } from '../harness/own-postgres.ts'

interface Inserted {
  readonly table: string
  readonly row: Readonly<Record<string, string | null>>
}

/** Reads the fields of one message of pgoutput ("Logical Replication Message Formats" in Postgres's manual). */
class Reader {
  readonly #buffer: Buffer
  #at = 1

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  int(bytes: 1 | 2 | 4): number {
    const value = this.#buffer.readIntBE(this.#at, bytes)
    this.#at += bytes
    return value
  }

  text(length?: number): string {
    const end = length === undefined ? this.#buffer.indexOf(0, this.#at) : this.#at + length
    const value = this.#buffer.toString('utf8', this.#at, end)
    this.#at = length === undefined ? end + 1 : end
    return value
  }
}

const readRelation = (reader: Reader): [number, { table: string; columns: string[] }] => {
  const id = reader.int(4)
  reader.text()
  const table = reader.text()
  reader.int(1)
  const columns = Array.from({ length: reader.int(2) }, () => {
    reader.int(1)
    const name = reader.text()
    reader.int(4)
    reader.int(4)
    return name
  })
  return [id, { table, columns }]
}

/** What a subscriber of the publication sees; kinds of messages other than transactions' own are counted. */
const decode = (
  messages: readonly Buffer[],
): { readonly inserted: Inserted[]; readonly kinds: Set<string> } => {
  const relations = new Map<number, { table: string; columns: string[] }>()
  const inserted: Inserted[] = []
  const kinds = new Set<string>()
  for (const message of messages) {
    const kind = String.fromCharCode(message[0] ?? 0)
    const reader = new Reader(message)
    kinds.add(kind)
    if (kind === 'R') relations.set(...readRelation(reader))
    if (kind !== 'I') continue
    const relation = relations.get(reader.int(4))
    if (relation === undefined) throw new Error('a row of an unknown table')
    reader.text(1)
    reader.int(2)
    const row = Object.fromEntries(
      relation.columns.map(name => [name, reader.text(1) === 't' ? reader.text(reader.int(4)) : null]),
    )
    inserted.push({ table: relation.table, row })
  }
  return { inserted, kinds }
}

it('logical replication shows the log as the guide says, in order, over partitions', async () => {
  const guide = await readFile(new URL('../../docs/guides/change-data-capture.md', import.meta.url), 'utf8')
  const [, publication = ''] = /```sql\n([^`]+)```/.exec(guide) ?? []
  const documented = [...guide.matchAll(/^\| `(\w+)` +\| `\w+` /gm)].map(([, column]) => column)
  const postgres = await startOwnPostgres({ wal_level: 'logical', fsync: 'off' })
  await migrate({ url: postgres.url, applicationName: 'test' })
  const client = new pg.Client({ connectionString: postgres.url })
  await client.connect()
  onTestFinished(() => client.end())
  // The first partition ends after five revisions.
  await client.query('select ensure_change_partition(1, 5)')
  await client.query(publication)
  await client.query(`select pg_create_logical_replication_slot('waymark', 'pgoutput')`)
  const read = async () => {
    const { rows } = await client.query<{ data: Buffer }>(
      `select data from pg_logical_slot_get_binary_changes('waymark', null, null,
         'proto_version', '1', 'publication_names', 'waymark_changes')`,
    )
    return decode(rows.map(({ data }) => data))
  }

  await loadMesh(postgres.url, { services: 2, instances: 12 })
  const { rows: log } = await client.query<Record<string, unknown>>(
    'select * from change order by revision, position',
  )
  const { rows: partitions } = await client.query('select from change_partition')
  expect(partitions.length).toBeGreaterThan(1)
  const { inserted } = await read()
  expect(new Set(inserted.map(({ table }) => table))).toEqual(new Set(['change']))
  expect(inserted.map(({ row }) => [row['id'], row['revision'], row['position']])).toEqual(
    log.map(({ id, revision, position }) => [id, revision, String(position)]),
  )
  expect(log).toHaveLength(12)
  expect(Object.keys(inserted[0]?.row ?? {})).toEqual(documented)
  for (const [index, { row }] of inserted.entries()) {
    expect(row).toMatchObject({ aggregatetype: 'instance', type: 'instance.registered', actor: 'rest' })
    expect(JSON.parse(row['payload'] ?? '')).toEqual(log[index]?.['payload'])
  }

  // What retention does is not shown.
  await client.query('drop table change_1')
  expect([...(await read()).kinds].filter(kind => !['B', 'C'].includes(kind))).toEqual([])
})
