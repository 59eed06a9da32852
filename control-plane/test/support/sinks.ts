import type { Writable } from 'node:stream'
import { createSinkManager, type PublisherTuning } from '../../src/outbox/create-sink-manager.ts'
import { Secrets } from '../../src/outbox/secrets.ts'
import type { SinkConfig } from '../../src/outbox/sink-config.ts'
import { SinkControl } from '../../src/outbox/sink-control.ts'
import type { SinkManager } from '../../src/outbox/sink-manager.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLogger } from '../../src/runtime/logger.ts'
import { OutboxLog } from '../../src/store/outbox-log.ts'
import { OutboxTable } from '../../src/store/outbox-table.ts'
import { RoleTable } from '../../src/store/role-table.ts'
import { SinkTable } from '../../src/store/sink-table.ts'
import type { TestDatabase } from './database.ts'
import type { TestReplica } from './replica.ts'

const quick: PublisherTuning = {
  ttlMs: 2_000,
  retryMs: 50,
  pollMs: 50,
  maxBackoffMs: 50,
  parkedRetryMs: 600_000,
}

export interface TestSinkOptions {
  readonly owner?: string
  readonly sinks?: readonly SinkConfig[]
  readonly stdout?: Writable
  readonly filesDirectory?: string
  readonly environment?: Readonly<Record<string, string>>
}

/** The sinks of one replica, not yet started. */
export const createTestSinks = (
  { database }: TestDatabase,
  { mesh }: Pick<TestReplica, 'mesh'>,
  {
    owner = 'replica-1',
    sinks = [],
    stdout = process.stdout,
    filesDirectory,
    environment = {},
  }: TestSinkOptions = {},
): { readonly manager: SinkManager; readonly control: SinkControl } => {
  const table = new SinkTable(database)
  const manager = createSinkManager({
    sinks,
    documents: () => mesh.documents('EventSink'),
    table,
    log: new OutboxLog(database),
    outbox: new OutboxTable(database),
    roles: new RoleTable(database),
    owner,
    stdout,
    secrets: new Secrets({ directory: null, environment }),
    filesDirectory: filesDirectory ?? null,
    allowsAddress: address => address !== '169.254.169.254',
    clock: systemClock,
    logger: silentLogger,
    random: Math.random,
    tuning: quick,
  })
  return { manager, control: new SinkControl({ manager, table }) }
}

/** For tests that are about something else. */
export const testSinks = (test: TestDatabase, replica: TestReplica): SinkControl =>
  createTestSinks(test, replica).control
