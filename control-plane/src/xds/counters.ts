import { shortType } from '../domain/short-type.ts'
import { Histogram } from '../runtime/histogram.ts'
import type { AdmissionFigures } from './push/admission.ts'
import type { PaceFigures } from './push/pace.ts'
import {
  clusterType,
  endpointType,
  listenerType,
  routeType,
  secretType,
  virtualHostType,
} from './type-urls.ts'

/** Seconds: from an answer on the same machine to that of a sidecar that stood still. */
const ackBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
/** Seconds. */
const convergenceBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
/** Seconds. */
const admissionBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Counted on their own; clients can ask for any others, so that these are counted together. */
const countedTypes = [clusterType, endpointType, listenerType, routeType, virtualHostType, secretType]

/** What has been counted of one resource type, over the streams of both forms. */
export class TypeCounters {
  /** `Cluster`, or `other`. */
  readonly type: string
  responses = 0
  resources = 0
  /** Names told to be gone. */
  removed = 0
  /** Bytes of responses handed to the transport. */
  bytes = 0
  /** Resources encoded; a resource shared by many streams counts once. */
  encodes = 0
  acks = 0
  nacks = 0
  staleAnswers = 0
  /** Changes of a resource that was waiting for a stream already: only the latest is sent. */
  merged = 0
  /** Changes after which a stream turned out to have the resource already, or to have refused it: nothing is sent. */
  dropped = 0
  /** Seconds from the writing of a response to its ACK. */
  readonly ack = new Histogram(ackBounds)
  /** Seconds from the commit of a change to the last ACK of a stream here that it touched. */
  readonly convergence = new Histogram(convergenceBounds)

  constructor(type: string) {
    this.type = type
  }
}

/** Why a stream was refused or ended. */
export const refusalReasons = [
  'invalid',
  'limit',
  'denied',
  'unauthenticated',
  'unavailable',
  'internal',
] as const
export type RefusalReason = (typeof refusalReasons)[number]

/** `grpc.status` numbers. */
const reasonOf: Readonly<Record<number, RefusalReason>> = {
  3: 'invalid',
  7: 'denied',
  8: 'limit',
  14: 'unavailable',
  16: 'unauthenticated',
}

type Summed = 'responses' | 'resources' | 'bytes' | 'encodes' | 'acks' | 'nacks' | 'staleAnswers'

/** What the xDS server has counted since it was built; plain numbers that telemetry reads. */
export class XdsCounters implements AdmissionFigures, PaceFigures {
  /** Streams that are open now. */
  streams = 0
  opened = 0
  /** Streams closed because the client took or answered nothing for too long. */
  closedStuck = 0
  requests = 0
  paced = 0
  waiting = 0
  delayed = 0
  admitted = 0
  readonly waits = new Histogram(admissionBounds)
  readonly refusals: Record<RefusalReason, number> = {
    invalid: 0,
    limit: 0,
    denied: 0,
    unauthenticated: 0,
    unavailable: 0,
    internal: 0,
  }
  readonly #types = new Map(countedTypes.map(typeUrl => [typeUrl, new TypeCounters(shortType(typeUrl))]))
  readonly #other = new TypeCounters('other')

  of(typeUrl: string): TypeCounters {
    return this.#types.get(typeUrl) ?? this.#other
  }

  get types(): readonly TypeCounters[] {
    return [...this.#types.values(), this.#other]
  }

  /** `status`: the `grpc.status` that the stream ends with. */
  refuse(status: number): void {
    this.refusals[reasonOf[status] ?? 'internal'] += 1
  }

  /** The same, by gRPC itself: what is no defect of ours but a message that it cannot read, or a method that nobody has. */
  refusedBelow(status: number): void {
    const reason = reasonOf[status] ?? 'invalid'
    this.refusals[reason] += 1
  }

  /** Streams that the source or the server refused (bad first message, unknown node, limits). */
  get refused(): number {
    const { internal: _defects, ...refusals } = this.refusals
    return Object.values(refusals).reduce((sum, count) => sum + count, 0)
  }

  get responses(): number {
    return this.#sum('responses')
  }

  get resources(): number {
    return this.#sum('resources')
  }

  get bytes(): number {
    return this.#sum('bytes')
  }

  get encodes(): number {
    return this.#sum('encodes')
  }

  get acks(): number {
    return this.#sum('acks')
  }

  get nacks(): number {
    return this.#sum('nacks')
  }

  get staleAnswers(): number {
    return this.#sum('staleAnswers')
  }

  #sum(key: Summed): number {
    let sum = 0
    for (const counters of this.types) sum += counters[key]
    return sum
  }
}
