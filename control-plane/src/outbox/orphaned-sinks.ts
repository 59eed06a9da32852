import type { Logger } from '../runtime/logger.ts'
import type { SinkTable } from '../store/sink-table.ts'
import type { OutboxStore } from './outbox-store.ts'
import { sinkStatus, type SinkStatus } from './sink-status.ts'

export interface OrphanedSinksOptions {
  /** Sinks of this replica's configuration. */
  readonly configured: readonly string[]
  readonly table: Pick<SinkTable, 'declare' | 'orphans' | 'forget'>
  readonly outbox: Pick<OutboxStore, 'progress'>
  readonly logger: Logger
}

/**
 * What is kept of sinks that are no more: removed when a document has gone, shown when a configuration has. The
 * latter is for people to decide: a replica that is down for a while may have it still.
 */
export class OrphanedSinks {
  readonly #options: OrphanedSinksOptions
  #orphans: readonly SinkStatus[] = []

  constructor(options: OrphanedSinksOptions) {
    this.#options = options
  }

  /** As they were the last time that somebody looked. */
  get statuses(): readonly SinkStatus[] {
    return this.#orphans
  }

  /** Now and then, on every replica. Rejects with `database_unavailable`. */
  async look(): Promise<void> {
    const { configured, table, outbox, logger } = this.#options
    await table.declare(configured)
    for (const sink of await table.forget()) logger.info({ sink }, 'a sink was forgotten')
    const known = new Set(this.#orphans.map(({ sink }) => sink))
    const orphans: SinkStatus[] = []
    for (const sink of await table.orphans()) {
      const origin = 'configuration'
      const about = { sink, kind: 'unknown', origin, error: null, owner: null, orphaned: true } as const
      orphans.push(sinkStatus(await outbox.progress(sink), about))
      if (!known.has(sink))
        logger.warn({ sink }, 'no replica has this sink in its configuration any more, and it holds the log')
    }
    this.#orphans = orphans
  }
}
