import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance, FastifyReply } from 'fastify'
import type { MeshState } from '../mesh/mesh-state.ts'
import type { MeshSourceOptions } from '../resources/mesh-source.ts'
import type { Registry } from '../registry/registry.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Committed } from '../store/write.ts'
import type { RestLimits } from './limits.ts'
import type { ClientReader, LoadReader, ReplicaReader } from './live-ports.ts'
import type {
  ChangeReader,
  HeartbeatPort,
  PastReader,
  PulseReader,
  RevisionAcks,
  SidecarReader,
  StatusReader,
} from './ports.ts'
import type { StateReads } from './read/state-reads.ts'
import type { ReadGate } from './read-gate.ts'
import { goneSignal, revisionHeader } from './exchange.ts'
import type { SinkPort } from './sink-port.ts'

export { goneSignal, revisionHeader }

export type RestApp = FastifyInstance<
  Server,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

/** What REST is built from. */
export interface RestParts {
  readonly registry: Registry
  readonly mesh: MeshState
  readonly heartbeats: HeartbeatPort
  readonly changes: ChangeReader
  readonly past: PastReader
  readonly pulses: PulseReader
  readonly sidecars: SidecarReader
  readonly clients: ClientReader
  readonly loads: LoadReader
  readonly replicas: ReplicaReader
  readonly acks: RevisionAcks
  readonly status: StatusReader
  readonly sinks: SinkPort
  /** What sidecars are told of traces; absent: nothing. */
  readonly tracing?: MeshSourceOptions['tracing']
  readonly logger: Logger
  readonly clock: Clock
}

/** What every route gets. */
export interface RestContext extends RestParts {
  readonly replicaId: string
  readonly reads: ReadGate
  readonly states: StateReads
  readonly limits: RestLimits
  /** Connections whose present request may take longer to arrive: it is read as fast as it is worked off. */
  readonly unhurried: WeakSet<Socket>
}

/** Says which revision an answer is of. Call it in the same turn in which the mesh state is read. */
export const stampRead = (reply: FastifyReply, { mesh }: RestContext): void => {
  void reply.header(revisionHeader, mesh.revision)
}

/** Says which revision a write got. */
export const stampWrite = <R>(reply: FastifyReply, committed: Committed<R>): R => {
  void reply.header(revisionHeader, committed.revision)
  return committed.result
}
