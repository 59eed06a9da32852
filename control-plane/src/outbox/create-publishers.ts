import type { Writable } from 'node:stream'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { ChangeLog } from '../store/change-log.ts'
import { OwnedRole, type OwnedRoleOptions } from '../store/owned-role.ts'
import { createSink } from './create-sink.ts'
import type { OutboxStore } from './outbox-store.ts'
import { Publisher, type PublisherOptions } from './publisher.ts'
import type { SinkConfig } from './sink-config.ts'

/** Settings that tests shorten; what production uses is below. */
export type PublisherTuning = Partial<
  Pick<
    PublisherOptions,
    | 'attempts'
    | 'suspectAfter'
    | 'parkedRetryMs'
    | 'parkedLimit'
    | 'pageRevisions'
    | 'pollMs'
    | 'maxBackoffMs'
    | 'goneRetryMs'
    | 'source'
  >
> &
  Pick<OwnedRoleOptions, 'ttlMs' | 'retryMs'>

export interface CreatePublishersOptions {
  readonly sinks: readonly SinkConfig[]
  readonly log: Pick<ChangeLog, 'readChanges'>
  readonly outbox: OutboxStore
  readonly roles: OwnedRoleOptions['roles']
  /** This replica's id. */
  readonly owner: string
  readonly stdout: Writable
  readonly clock: Clock
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
  pageRevisions: 100,
  pollMs: 1_000,
  maxBackoffMs: 30_000,
  goneRetryMs: 3_600_000,
} as const

/** A publisher for each sink, not yet started. */
export const createPublishers = (options: CreatePublishersOptions): Publisher[] => {
  const { roles, owner, clock, random, log, outbox, stdout } = options
  const { ttlMs, retryMs, ...tuning } = options.tuning ?? {}
  return options.sinks.map(config => {
    const logger = options.logger.child({ sink: config.name })
    const role = new OwnedRole({
      roles,
      name: `outbox:${config.name}`,
      owner,
      clock,
      logger,
      ...(ttlMs === undefined ? {} : { ttlMs }),
      ...(retryMs === undefined ? {} : { retryMs }),
    })
    return new Publisher({
      ...production,
      ...tuning,
      sink: createSink(config, { clock, stdout }),
      role,
      log,
      outbox,
      clock,
      logger,
      random,
      start: config.start,
    })
  })
}
