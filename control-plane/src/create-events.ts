import type { Config } from './config.ts'
import type { MeshState } from './mesh/mesh-state.ts'
import { createSinkManager } from './outbox/create-sink-manager.ts'
import { Secrets } from './outbox/secrets.ts'
import { SinkControl } from './outbox/sink-control.ts'
import type { Clock } from './runtime/clock.ts'
import type { Logger } from './runtime/logger.ts'
import type { Database } from './store/database.ts'
import { OutboxLog } from './store/outbox-log.ts'
import { OutboxTable } from './store/outbox-table.ts'
import type { RoleTable } from './store/role-table.ts'
import { SinkTable } from './store/sink-table.ts'

/** The parts that publish the log, and what REST does to them. Starts none. */
export const createEvents = (options: {
  readonly config: Config
  readonly database: Database
  /** Its documents declare sinks, and what changes it wakes them. */
  readonly mesh: MeshState
  readonly roles: RoleTable
  readonly clock: Clock
  readonly logger: Logger
  readonly random: () => number
}) => {
  const { config, database, mesh } = options
  const table = new SinkTable(database)
  const sinks = createSinkManager({
    ...options,
    sinks: config.sinks,
    documents: () => mesh.documents('EventSink'),
    log: new OutboxLog(database),
    outbox: new OutboxTable(database),
    table,
    owner: config.replicaId,
    stdout: process.stdout,
    secrets: new Secrets({ directory: config.secretsDirectory, environment: process.env }),
    filesDirectory: config.sinkFilesDirectory,
    allowsAddress: address => config.checkPolicy.allows(address),
  })
  mesh.onDelta(({ sets, resynchronised }) => {
    sinks.wake()
    const touched = sets.some(({ changes }) =>
      changes.some(({ aggregateId }) => aggregateId.startsWith('EventSink/')),
    )
    if (touched || resynchronised) sinks.reconcile()
  })
  return { sinks, sinkControl: new SinkControl({ manager: sinks, table }) }
}
