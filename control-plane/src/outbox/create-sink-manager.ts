import type { Document } from '../domain/document.ts'
import type { Logger } from '../runtime/logger.ts'
import { OwnedRole, type OwnedRoleOptions } from '../store/owned-role.ts'
import { createSink } from './create-sink.ts'
import { OrphanedSinks, type OrphanedSinksOptions } from './orphaned-sinks.ts'
import type { OutboxLog, OutboxStore } from './outbox-store.ts'
import { Publisher, type PublisherOptions } from './publisher.ts'
import type { SinkConfig } from './sink-config.ts'
import { configuredSink, documentSink, type SinkDefinition } from './sink-definition.ts'
import type { SinkParts } from './sink-parts.ts'
import { SinkManager } from './sink-manager.ts'

/** Settings that tests shorten; what production uses is below. */
export type PublisherTuning = Partial<
  Pick<
    PublisherOptions,
    | 'attempts'
    | 'suspectAfter'
    | 'parkedRetryMs'
    | 'parkedLimit'
    | 'parkedBytesLimit'
    | 'pageChanges'
    | 'pageBytes'
    | 'pollMs'
    | 'maxBackoffMs'
    | 'goneRetryMs'
    | 'source'
  >
> &
  Pick<OwnedRoleOptions, 'ttlMs' | 'retryMs'>

export interface CreateSinkManagerOptions extends SinkParts {
  readonly sinks: readonly SinkConfig[]
  /** Of kind EventSink. */
  readonly documents: () => readonly Document[]
  readonly log: OutboxLog
  readonly outbox: OutboxStore
  readonly table: OrphanedSinksOptions['table']
  readonly roles: OwnedRoleOptions['roles']
  /** This replica's id. */
  readonly owner: string
  readonly logger: Logger
  readonly random: () => number
  readonly tuning?: PublisherTuning
}

const production = {
  source: '/waymark',
  attempts: 5,
  suspectAfter: 10,
  parkedRetryMs: 300_000,
  parkedLimit: 10_000,
  parkedBytesLimit: 256 * 1_024 * 1_024,
  // A delivery's worth: what waits longer than that is only copied by the garbage collector.
  pageChanges: 1_000,
  pageBytes: 4 * 1_024 * 1_024,
  pollMs: 1_000,
  maxBackoffMs: 30_000,
  goneRetryMs: 3_600_000,
} as const

/** Builds what runs the sinks, not yet started. */
export const createSinkManager = (options: CreateSinkManagerOptions): SinkManager => {
  const { sinks, documents, roles, owner, clock, random, log, outbox, table } = options
  const { ttlMs, retryMs, ...tuning } = options.tuning ?? {}
  const createPublisher = (definition: SinkDefinition): Publisher => {
    const { name, start, origin, wants } = definition
    const logger = options.logger.child({ sink: name })
    const role = new OwnedRole({
      roles,
      name: `outbox:${name}`,
      owner,
      clock,
      logger,
      ...(ttlMs === undefined ? {} : { ttlMs }),
      ...(retryMs === undefined ? {} : { retryMs }),
    })
    const sink = createSink(definition, options)
    return new Publisher({
      ...production,
      ...tuning,
      ...{ sink, role, log, outbox, clock, logger, random, start, origin, wants },
    })
  }
  return new SinkManager({
    configured: sinks.map(configuredSink),
    documents: () => documents().map(documentSink),
    createPublisher,
    orphans: new OrphanedSinks({
      configured: sinks.map(({ name }) => name),
      table,
      outbox,
      logger: options.logger,
    }),
    clock,
    logger: options.logger,
  })
}
