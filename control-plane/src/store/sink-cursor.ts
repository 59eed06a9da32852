import { sql, type RawBuilder } from 'kysely'

export interface SinkIdentity {
  readonly sink: string
  /** Where it begins that has never been given anything. */
  readonly start: 'oldest' | 'now'
  readonly origin: 'configuration' | 'document'
}

/** The document of a sink is its right to a cursor: without one, retention would wait for it for ever. */
export const mayHaveCursor = ({ sink, origin }: Pick<SinkIdentity, 'sink' | 'origin'>): RawBuilder<boolean> =>
  sql<boolean>`(${origin} = 'configuration'
    or exists (select from document where kind = 'EventSink' and name = ${sink}))`

/** The revision before the first one that a new sink gets. */
export const beginning = (start: SinkIdentity['start']): RawBuilder<string> =>
  start === 'now'
    ? sql<string>`(select revision from mesh_revision)`
    : sql<string>`(coalesce((select min(from_revision) from change_partition), 1) - 1)`
