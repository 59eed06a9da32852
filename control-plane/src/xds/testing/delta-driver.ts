import type { MemorySource } from '../memory-source.ts'
import { type MemoryChange } from '../memory-source.ts'
import type { DeltaRequest } from '../subscription/xds-request.ts'
import { ServerFixture } from './server-fixture.ts'
import { SessionFixture, type SentBatch } from './session-fixture.ts'
import type { DeltaClient } from './delta-client.ts'
import { StandingClock, stopMs } from './standing-clock.ts'

type Fields = Partial<Omit<DeltaRequest, 'node' | 'typeUrl'>>

/** One delta stream, however it is reached: what the tests of the rules are written against. */
export interface DeltaDriver extends AsyncDisposable {
  readonly source: MemorySource
  /** Sends a request; resolves with all that is sent until it has been dealt with. */
  ask(typeUrl: string, fields?: Fields): Promise<SentBatch[]>
  /** Changes resources; resolves with what is sent then. */
  change(change: MemoryChange): Promise<SentBatch[]>
  /** Lets time pass; resolves with what is sent then. */
  wait(ms: number): Promise<SentBatch[]>
  /** What the client has refused, as the status tells it. */
  refusals(): { readonly names: readonly string[]; readonly message: string }[]
  /** Nothing of a type, or of any, is unsent or unanswered. */
  settled(typeUrl?: string): boolean
}

export interface DriverOptions {
  readonly source?: MemorySource
  readonly maxResponseBytes?: number
}

/** A session in this process, without a transport. */
export function sessionDriver({ source, maxResponseBytes }: DriverOptions): Promise<DeltaDriver> {
  const fixture = new SessionFixture({
    ...(source === undefined ? {} : { source }),
    ...(maxResponseBytes === undefined
      ? {}
      : { limits: { maxResponseBytes, maxFirstResponseBytes: maxResponseBytes } }),
  })
  const { session } = fixture
  return Promise.resolve({
    source: fixture.source,
    ask: (typeUrl, fields) => Promise.resolve(fixture.ask(typeUrl, fields)),
    change: change => Promise.resolve(fixture.change(change)),
    wait: ms => Promise.resolve(fixture.wait(ms)),
    refusals: () => session.deliveries.flatMap(({ refusals }) => refusals),
    settled: only =>
      session.deliveries.every(({ busy, typeUrl }) => !busy || (only !== undefined && only !== typeUrl)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  })
}

/** A client of a server of its own, over a gRPC socket; the server's time stands still but for `wait`. */
export async function socketDriver({ source, maxResponseBytes }: DriverOptions): Promise<DeltaDriver> {
  const clock = new StandingClock()
  const fixture = await ServerFixture.start({
    clock,
    ...(source === undefined ? {} : { source }),
    ...(maxResponseBytes === undefined ? {} : { limits: { maxResponseBytes } }),
  })
  const client = fixture.connect('web/1')
  const marker = new Marker(client)
  const status = () => fixture.server.stream('web/1')
  return {
    source: fixture.source,
    ask: (typeUrl, { subscribe = [], unsubscribe = [], initialVersions, nonce = '', error } = {}) => {
      client.send({
        typeUrl,
        resourceNamesSubscribe: [...subscribe],
        resourceNamesUnsubscribe: [...unsubscribe],
        initialResourceVersions: Object.fromEntries(initialVersions ?? []),
        responseNonce: nonce,
        ...(error === undefined ? {} : { errorDetail: { code: 13, message: error, details: [] } }),
      })
      return marker.reached()
    },
    change: change => {
      fixture.source.apply(change)
      return marker.reached()
    },
    wait: async ms => {
      await clock.advance(ms)
      return marker.reached()
    },
    refusals: () => status()?.nacks.map(({ names, message }) => ({ names, message })) ?? [],
    settled: only =>
      status()?.types.every(
        ({ typeUrl, waiting, unansweredSince }) =>
          typeUrl === markerType ||
          (only !== undefined && only !== typeUrl) ||
          (waiting === 0 && unansweredSince === null),
      ) === true,
    [Symbol.asyncDispose]: async () => {
      const ended = fixture[Symbol.asyncDispose]()
      await clock.advance(stopMs)
      await ended
    },
  }
}

const markerType = 'test/marker'

/** Requests of a type of its own, answered at once and last: what came before its answer is all that was sent. */
class Marker {
  readonly #client: DeltaClient
  #asked = 0

  constructor(client: DeltaClient) {
    this.#client = client
  }

  async reached(): Promise<SentBatch[]> {
    this.#asked += 1
    this.#client.send({ typeUrl: markerType, resourceNamesSubscribe: [`marker ${this.#asked}`] })
    const sent: SentBatch[] = []
    for (;;) {
      const response = await this.#client.next()
      if (response.typeUrl === markerType) {
        this.#client.ack(response)
        return sent
      }
      const { typeUrl, nonce, resources, removedResources } = response
      sent.push({
        typeUrl,
        nonce,
        removed: [...removedResources].sort(),
        resources: resources.map(({ name, resource: any }) =>
          any === undefined ? `${name}=none` : `${name}=${Buffer.from(any.value).toString()}`,
        ),
      })
    }
  }
}
