import { hostPort } from '@waymark/sidecar-config/model/host-port.ts'
import { Registry } from './registry/registry.ts'
import { Retention } from './registry/retention.ts'
import { openCheckIdentity } from './check-identity.ts'
import type { Config, ListenAddress } from './config.ts'
import { createEvents } from './create-events.ts'
import type { ModeState } from './domain/mode.ts'
import { Feed } from './feed/feed.ts'
import { createHealth } from './health/create-health.ts'
import { MeshState } from './mesh/mesh-state.ts'
import { MeshSource } from './resources/mesh-source.ts'
import { AckExchange } from './resources/ack-exchange.ts'
import { SidecarReporter } from './resources/sidecar-reporter.ts'
import { createRest } from './rest/server.ts'
import { Backoff } from './runtime/backoff.ts'
import { AlignedClock } from './runtime/aligned-clock.ts'
import type { Clock } from './runtime/clock.ts'
import { reachableHost } from './runtime/reachable-host.ts'
import { Stages } from './runtime/stages.ts'
import type { Logger } from './runtime/logger.ts'
import { SidecarDirectory } from './sidecar-directory.ts'
import { ReplicaStatus } from './status-reader.ts'
import { AckTable } from './store/ack-table.ts'
import { ChangeLog } from './store/change-log.ts'
import { openDatabase } from './store/database.ts'
import { migrate } from './store/migrate.ts'
import { PastLog } from './store/past-log.ts'
import { Pulses } from './store/pulses.ts'
import { RoleTable } from './store/role-table.ts'
import { Sequencer } from './store/sequencer.ts'
import { SidecarTable } from './store/sidecar-table.ts'
import { openTraces } from './telemetry/open-traces.ts'
import { Telemetry } from './telemetry/telemetry.ts'
import { tracedFollower } from './telemetry/traced-follower.ts'
import { tracedLog } from './traced-log.ts'
import type { RevisionReport } from './xds/acks/revision-watch.ts'
import { ClientStatusService } from './xds/client-status/client-status-service.ts'
import { LoadBook } from './xds/load-reports/load-book.ts'
import { LoadReportService } from './xds/load-reports/load-report-service.ts'
import type { XdsSource } from './xds/port.ts'
import type { StreamStatus } from './xds/status/status.ts'
import { secureXds } from './xds-security.ts'
import { XdsServer } from './xds/xds-server.ts'

export interface AppOptions {
  readonly config: Config
  readonly clock: Clock
  readonly logger: Logger
  readonly random: () => number
  /** Puts something between the mesh and the xDS server; tests force invalid resources into a stream with it. */
  readonly wrapSource?: (source: XdsSource) => XdsSource
}

/** One control-plane process, built and wired. */
export interface App {
  readonly mesh: MeshState
  readonly xds: XdsServer
  modes(): ModeState[]
  /**
   * Opens the listeners, then waits for the database as long as it takes, migrates it and starts everything else.
   * Resolves with the addresses as soon as the listeners are open; rejects when one cannot be opened.
   */
  start(): Promise<{ readonly http: ListenAddress; readonly xds: ListenAddress }>
  /** Rejects when a part has ended by a defect; resolves after `stop`. */
  readonly ended: Promise<void>
  /** Ends everything in order: callers first, then those who work for them, the database last. */
  stop(): Promise<void>
}

const databaseConnections = 10
/** Connections that may wait to be accepted; the system lowers it to its own limit. Clients come back all at once. */
const listenBacklog = 16_384

/** Builds a replica. Starts nothing. */
export const createApp = async (options: AppOptions): Promise<App> => {
  const { config, logger, random } = options
  const clock = new AlignedClock({
    machine: options.clock,
    onStep: byMs => {
      logger.warn({ byMs }, "the clock of this machine is wrong: Postgres's time is used")
    },
  })
  const common = { clock, logger, random }
  const replica = config.replicaId
  const connection = { url: config.databaseUrl, applicationName: `waymark-${replica}`.slice(0, 63) }
  const database = openDatabase({ ...connection, connections: databaseConnections, logger })

  // The log, and the state that follows it.
  const mesh = new MeshState()
  const log = new ChangeLog({ database, connection })
  const follower = tracedFollower(mesh, () => telemetry.steps)
  const feed: Feed = new Feed({
    ...common,
    log,
    follower,
    ownBackend: () => sequencer.connection.backend,
    ownConnections: () => sequencer.connection.connections,
  })
  const sequencer: Sequencer = new Sequencer({
    ...common,
    connection,
    history: feed,
    // The answers to the writers go out first; the turn ends before another request is read.
    onCommitted: sets => {
      clock.soon(() => {
        feed.offer(sets)
      })
    },
  })
  const registry = new Registry({
    flapPolicy: config.flapPolicy,
    ...tracedLog(sequencer, () => telemetry),
  })

  // What sidecars get.
  const tracing = config.tracing
  // Before all others that follow the mesh.
  mesh.onDelta(() => {
    telemetry.steps.building()
  })
  const meshSource = new MeshSource({
    mesh,
    tracing,
    onUnknownLimit: service => {
      logger.warn({ service }, 'a sidecar on demand asked for too many unknown hosts: it gets every service')
    },
  })
  const secure = await secureXds({
    security: config.xdsSecurity,
    source: options.wrapSource?.(meshSource) ?? meshSource,
    ...common,
  })
  const { source } = secure
  const loads = new LoadBook({ clock })
  const intervalMs = config.loadReportSeconds * 1_000
  const loadReports = new LoadReportService({ ...common, book: loads, source, intervalMs })
  const clientStatus: ClientStatusService = new ClientStatusService({
    clock,
    clients: () => xds.book.clients(),
    authorize: secure.authorizeAll,
  })
  const xds: XdsServer = new XdsServer({
    ...common,
    source,
    listen: config.xds,
    ...secure.tls,
    tracer: { begin: revision => telemetry.steps.begin(revision) },
    services: [loadReports, clientStatus],
  })
  const run = `${clock.now().toString(36)}-${random().toString(36).slice(2)}`
  const sidecars = new SidecarTable<StreamStatus>({ database, replica, run })
  const reporter = new SidecarReporter({
    ...common,
    streams: xds.book,
    revision: () => source.revision(),
    store: sidecars,
  })

  // Health.
  const addresses = { http: hostPort(config.http), xds: hostPort(config.xds) }
  const roles = new RoleTable(database)
  const checkIdentity = await openCheckIdentity({ ...common, files: config.checkCertificate })
  const { membership, heartbeats, sweeper, checks, traffic } = createHealth({
    ...common,
    database,
    mesh,
    loads,
    registry,
    roles,
    replica,
    addresses: () => addresses,
    onTime: time => {
      clock.align(time)
    },
    checkPolicy: config.checkPolicy,
    checkIdentity,
    selfPreservation: config.selfPreservation,
  })
  const acks = new AckExchange({
    ...common,
    streams: xds,
    store: new AckTable<RevisionReport>({ database, connection, replica }),
    replica,
    members: () => membership.liveIds,
  })
  const retention = new Retention({
    ...common,
    database,
    roles,
    owner: replica,
    keepDays: config.retentionDays,
    keepRevisions: config.retentionRevisions,
    holdDays: config.sinkHoldDays,
  })

  // Events.
  const { sinks, sinkControl } = createEvents({ ...common, config, database, mesh, roles })

  // What people see.
  const status = new ReplicaStatus({
    ...common,
    replica,
    mesh,
    feed,
    sequencer,
    sweeper,
    sinks: () => sinks.status(),
    replicas: () => membership.live,
    streams: () => xds.counters.streams,
    newcomers: () => xds.counters.waiting,
  })
  const telemetry: Telemetry = new Telemetry({
    clock,
    replicaId: replica,
    logger,
    observers: {
      xds: async () => ({ counters: xds.counters, figures: await xds.figures(), access: secure.counters }),
      loads: () => ({ ...loadReports.counters, ...loads.size }),
      clientStatus: () => clientStatus.counters,
      writes: () => ({ waiting: sequencer.waiting, batches: sequencer.batches }),
      feed: () => ({ ...feed.status(), revision: mesh.revision }),
      mesh: () => mesh.census(),
      checks: () => checks.status(),
      traffic: () => traffic.status(),
      heartbeats: () => ({ pending: heartbeats.pending }),
      outbox: () => sinks.status(),
      modes: () => status.modes(),
    },
    traces: await openTraces({ ...config, logger }),
  })
  const rest = await createRest({
    ...common,
    registry,
    mesh,
    heartbeats,
    changes: log,
    past: new PastLog(database),
    pulses: new Pulses(database),
    sidecars: new SidecarDirectory({
      replica,
      streams: xds.book,
      table: sidecars,
      members: () => membership.liveIds,
      clock,
    }),
    clients: xds.book,
    loads,
    replicas: () => membership.live,
    acks,
    status,
    tracing,
    sinks: sinkControl,
    replicaId: replica,
    ...(config.allowedHosts === null ? {} : { allowedHosts: config.allowedHosts }),
    metrics: () => telemetry.metricsText(),
    trace: request => telemetry.beginRequest(request),
    onAnswer: answer => {
      telemetry.recordRequest(answer)
    },
  })

  const stages = new Stages({
    stages: {
      front: [xds, ...secure.components, status],
      middle: [
        heartbeats,
        sweeper,
        checks,
        ...(checkIdentity === null ? [] : [checkIdentity]),
        traffic,
        membership,
        reporter,
        acks,
        retention,
        sinks,
      ],
      back: [sequencer, feed],
      // What the others do to their end is told, too.
      last: [telemetry],
    },
    logger,
  })

  /** The database may come later than we do. */
  const prepare = async (): Promise<void> => {
    const backoff = new Backoff({ baseMs: 200, maxMs: 3_000, random })
    while (!stages.signal('middle').aborted) {
      try {
        const applied = await migrate(connection)
        if (applied.length > 0) logger.info({ applied }, 'migrations applied')
        stages.start('back')
        stages.start('middle')
        return
      } catch (error) {
        logger.warn({ error: String(error) }, 'the database is not usable yet')
        await clock.sleep(backoff.next(), stages.signal('middle'))
      }
    }
  }
  let preparing: Promise<void> = Promise.resolve()

  return {
    mesh,
    xds,
    modes: () => status.modes(),
    ended: stages.ended,
    start: async () => {
      await rest.listen({ host: config.http.host, port: config.http.port, backlog: listenBacklog })
      const bound = rest.server.address()
      const port = bound === null || typeof bound === 'string' ? config.http.port : bound.port
      const http = { host: config.http.host, port }
      const xdsAddress = await xds.listen()
      // Other replicas ask this one there.
      addresses.http = hostPort({ ...http, host: config.advertiseHost ?? reachableHost(http.host) })
      addresses.xds = hostPort(xdsAddress)
      stages.start('last')
      stages.start('front')
      preparing = prepare()
      logger.info({ http: addresses.http, xds: addresses.xds }, 'listening')
      return { http, xds: xdsAddress }
    },
    stop: async () => {
      stages.abort('middle')
      await Promise.all([rest.close(), preparing, stages.stop('front')])
      await stages.stop('middle')
      await stages.stop('back')
      await stages.stop('last')
      await database.destroy()
      stages.finish()
    },
  }
}
