import type {
  DiscoveryRequest,
  DiscoveryResponse,
} from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import type { MemoryChange, MemorySource } from '../memory-source.ts'
import type { SotwRequest } from '../subscription/xds-request.ts'
import { ServerFixture } from './server-fixture.ts'
import { SotwFixture, type SentState } from './sotw-fixture.ts'
import { StandingClock, stopMs } from './standing-clock.ts'
import { sotwCodec, StreamClient } from './stream-client.ts'

type Fields = Partial<Omit<SotwRequest, 'node' | 'typeUrl'>>

/** One state-of-the-world stream of ADS, however it is reached: as `DeltaDriver`. A resource is shown as its body. */
export interface SotwDriver extends AsyncDisposable {
  readonly source: MemorySource
  ask(typeUrl: string, fields?: Fields): Promise<SentState[]>
  change(change: MemoryChange): Promise<SentState[]>
  wait(ms: number): Promise<SentState[]>
  /** The names of what the client has refused. */
  refusals(): (readonly string[])[]
  /** Nothing of the type is unsent or unanswered. */
  settled(typeUrl: string): boolean
}

export type OpenSotw = (options?: { readonly source?: MemorySource }) => Promise<SotwDriver>

/** A session in this process, without a transport. */
export const sotwSessionDriver: OpenSotw = (options = {}) => {
  const fixture = new SotwFixture(options)
  const { session } = fixture
  const bodies = (sent: SentState[]): Promise<SentState[]> =>
    Promise.resolve(
      sent.map(state => ({ ...state, resources: state.resources.map(each => each.replace(/^[^=]*=/, '')) })),
    )
  return Promise.resolve({
    source: fixture.source,
    ask: (typeUrl, fields) => bodies(fixture.ask(typeUrl, fields)),
    change: change => bodies(fixture.change(change)),
    wait: ms => bodies(fixture.wait(ms)),
    refusals: () => session.deliveries.flatMap(({ refusals }) => refusals.map(({ names }) => names)),
    settled: typeUrl => session.deliveries.every(each => each.typeUrl !== typeUrl || !each.busy),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  })
}

const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources'
const node = { id: 'web/1', cluster: 'web' }

/** A client of a server of its own, over a gRPC socket; the server's time stands still but for `wait`. */
export const sotwSocketDriver: OpenSotw = async (options = {}) => {
  const clock = new StandingClock()
  const fixture = await ServerFixture.start({ ...options, clock })
  const client = new StreamClient(fixture.address, path, sotwCodec)
  const marker = new Marker(client, fixture.source)
  const status = () => fixture.server.stream('web/1')
  return {
    source: fixture.source,
    ask: (typeUrl, { names = [], version = '', nonce = '', error } = {}) => {
      client.send({
        node,
        typeUrl,
        resourceNames: [...names],
        versionInfo: version,
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
    refusals: () => status()?.nacks.map(({ names }) => names) ?? [],
    settled: wanted =>
      status()?.types.every(
        ({ typeUrl, waiting, unansweredSince }) =>
          typeUrl !== wanted || (waiting === 0 && unansweredSince === null),
      ) === true,
    [Symbol.asyncDispose]: async () => {
      client[Symbol.dispose]()
      const ended = fixture[Symbol.asyncDispose]()
      await clock.advance(stopMs)
      await ended
    },
  }
}

const markerType = 'test/marker'

/**
 * A resource that is left out and listed again, which is always answered at once, and last: what came before its answer
 * is all that was sent.
 */
class Marker {
  readonly #client: StreamClient<DiscoveryRequest, DiscoveryResponse>
  #nonce = ''

  constructor(client: StreamClient<DiscoveryRequest, DiscoveryResponse>, source: MemorySource) {
    this.#client = client
    source.apply({ put: [{ typeUrl: markerType, name: 'marker', body: Buffer.from('1') }] })
  }

  async reached(): Promise<SentState[]> {
    for (const resourceNames of [[], ['marker']]) this.#send(resourceNames)
    const sent: SentState[] = []
    for (;;) {
      const { typeUrl, nonce, versionInfo, resources } = await this.#client.next()
      if (typeUrl === markerType) {
        this.#nonce = nonce
        this.#send(['marker'])
        return sent
      }
      sent.push({
        typeUrl,
        nonce,
        version: versionInfo,
        resources: resources.map(({ value }) => Buffer.from(value).toString()).sort(),
      })
    }
  }

  #send(resourceNames: readonly string[]): void {
    this.#client.send({ node, typeUrl: markerType, resourceNames, responseNonce: this.#nonce })
  }
}
