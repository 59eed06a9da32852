import type {
  DiscoveryRequest,
  DiscoveryResponse,
} from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import type { MemorySource } from '../memory-source.ts'
import type { SotwRequest } from '../subscription/xds-request.ts'
import type { ServerFixture } from './server-fixture.ts'
import { SotwFixture, type SentState } from './sotw-fixture.ts'
import { sotwCodec, StreamClient } from './stream-client.ts'
import {
  driveSession,
  driveSocket,
  errorDetail,
  markerType,
  type DrivenClient,
  type StreamDriver,
} from './stream-driver.ts'

type Fields = Partial<SotwRequest>

/** One state-of-the-world stream of ADS. A resource is shown as its body: on the wire it has no name. */
export type SotwDriver = StreamDriver<Fields, SentState>

export type OpenSotw = (options?: { readonly source?: MemorySource }) => Promise<SotwDriver>

export const sotwSessionDriver: OpenSotw = (options = {}) => {
  const driver = driveSession(new SotwFixture(options))
  const bodies = async (sent: Promise<SentState[]>): Promise<SentState[]> =>
    (await sent).map(state => ({
      ...state,
      resources: state.resources.map(each => each.replace(/^[^=]*=/, '')),
    }))
  return Promise.resolve({
    ...driver,
    ask: (typeUrl, fields) => bodies(driver.ask(typeUrl, fields)),
    change: change => bodies(driver.change(change)),
    wait: ms => bodies(driver.wait(ms)),
  })
}

export const sotwSocketDriver: OpenSotw = (options = {}) =>
  driveSocket(options, fixture => new Driven(fixture))

const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources'
const node = { id: 'web/1', cluster: 'web' }

class Driven implements DrivenClient<Fields, SentState> {
  readonly #client: StreamClient<DiscoveryRequest, DiscoveryResponse>
  #nonce = ''

  constructor({ address, source }: ServerFixture) {
    this.#client = new StreamClient(address, path, sotwCodec)
    source.apply({ put: [{ typeUrl: markerType, name: 'marker', body: Buffer.from('1') }] })
  }

  send(typeUrl: string, { names = [], version = '', nonce = '', error }: Fields): void {
    this.#client.send({
      node,
      typeUrl,
      resourceNames: [...names],
      versionInfo: version,
      responseNonce: nonce,
      ...errorDetail(error),
    })
  }

  /** A resource that is left out and listed again is always answered. */
  async untilMarker(): Promise<SentState[]> {
    for (const resourceNames of [[], ['marker']]) this.#sendMarker(resourceNames)
    const sent: SentState[] = []
    for (;;) {
      const { typeUrl, nonce, versionInfo, resources } = await this.#client.next()
      if (typeUrl === markerType) {
        this.#nonce = nonce
        this.#sendMarker(['marker'])
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

  close(): void {
    this.#client[Symbol.dispose]()
  }

  #sendMarker(resourceNames: readonly string[]): void {
    this.#client.send({ node, typeUrl: markerType, resourceNames, responseNonce: this.#nonce })
  }
}
