import type pg from 'pg'
import type { Evidence } from '../domain/evidence.ts'
import type { Flapping } from '../domain/flapping.ts'
import type { Instance } from '../domain/instance.ts'
import type { Override } from '../domain/verdict.ts'
import { toInstance } from './rows.ts'
import { joinSpec, SharedParts } from './shared-parts.ts'

interface ReadInstancesOptions {
  /** Blocks of the table in one statement; the default is half a megabyte, some thousand instances. */
  readonly pageBlocks?: number
}

type Row = readonly [
  service: string,
  id: string,
  incarnation: string,
  address: string,
  port: string,
  otherSpec: string,
  verdict: string,
  evidence: string,
  override: string | null,
  revision: string,
  flapping: string | null,
  removeAt: string | null,
  reviewAt: string | null,
  registeredAt: string,
]

/** In the order of `Row`. */
const columns = `service, id, incarnation, spec->>'address', spec->>'port', spec - '{address,port}'::text[], verdict,
  evidence, override, revision, flapping, remove_at, review_at, registered_at`

const asText = (text: string | null): string | null => text
/** What comes over the wire is handed out as it is: the driver's objects, dates and parsed JSON cost more than all else. */
const asTexts: pg.CustomTypesConfig = { getTypeParser: () => asText }

/** Every column but JSON is short; most instances have nothing in these. */
const parse = (json: string | null): unknown => (json === null ? null : JSON.parse(json))
const noEvidence: readonly Evidence[] = []

/**
 * Every instance, in no particular order, as of the snapshot of the REPEATABLE READ transaction in which the client is.
 * It reads the table block by block: no statement takes long however large the mesh is, and the rows of a page are
 * garbage before they are old. The next page is under way while one is converted. Where a row lies stays the same for
 * as long as the transaction can see it. Parts that instances of a service have in common are the same objects.
 */
export const readInstances = async (
  client: pg.ClientBase,
  { pageBlocks = 64 }: ReadInstancesOptions = {},
): Promise<Instance[]> => {
  const sizes = await client.query<{ blocks: string }>(
    "select pg_relation_size('instance') / current_setting('block_size')::bigint as blocks",
  )
  const blocks = Number(sizes.rows[0]?.blocks ?? 0)
  const read = (from: number) =>
    client.query<[...Row]>({
      text: `select ${columns} from instance where ctid >= '(${from},0)' and ctid < '(${from + pageBlocks},0)'`,
      rowMode: 'array',
      types: asTexts,
    })
  const shared = new SharedParts()
  const instances: Instance[] = []
  let page = read(0)
  for (let next = pageBlocks; ; next += pageBlocks) {
    const { rows } = await page
    const more = next < blocks
    if (more) page = read(next)
    for (const row of rows) instances.push(readRow(row, shared))
    if (!more) return instances
  }
}

const readRow = (row: Row, shared: SharedParts): Instance => {
  const parts = shared.ofService(row[0])
  const evidence = row[7]
  // What the columns hold is what putInstance wrote: domain values as JSON.
  return toInstance({
    service: parts.name,
    id: row[1],
    incarnation: row[2],
    spec: joinSpec(parts, { address: row[3], port: Number(row[4]), json: row[5] }),
    verdict: row[6],
    evidence: evidence === '[]' ? noEvidence : (JSON.parse(evidence) as Evidence[]),
    override: parse(row[8]) as Override | null,
    revision: row[9],
    flapping: parse(row[10]) as Flapping | null,
    remove_at: row[11],
    review_at: row[12],
    registered_at: row[13],
  })
}
