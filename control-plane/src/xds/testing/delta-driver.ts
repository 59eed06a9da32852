import type { MemorySource } from '../memory-source.ts'
import type { DeltaRequest } from '../subscription/xds-request.ts'
import type { DeltaClient } from './delta-client.ts'
import { SessionFixture, type SentBatch } from './session-fixture.ts'
import {
  driveSession,
  driveSocket,
  errorDetail,
  markerType,
  type DrivenClient,
  type StreamDriver,
} from './stream-driver.ts'

type Fields = Partial<DeltaRequest>

/** One delta stream. */
export type DeltaDriver = StreamDriver<Fields, SentBatch>

export interface DriverOptions {
  readonly source?: MemorySource
  readonly maxResponseBytes?: number
}

export const sessionDriver = ({ source, maxResponseBytes }: DriverOptions): Promise<DeltaDriver> =>
  Promise.resolve(
    driveSession(
      new SessionFixture({
        ...(source === undefined ? {} : { source }),
        ...(maxResponseBytes === undefined
          ? {}
          : { limits: { maxResponseBytes, maxFirstResponseBytes: maxResponseBytes } }),
      }),
    ),
  )

export const socketDriver = ({ source, maxResponseBytes }: DriverOptions): Promise<DeltaDriver> =>
  driveSocket(
    {
      ...(source === undefined ? {} : { source }),
      ...(maxResponseBytes === undefined ? {} : { limits: { maxResponseBytes } }),
    },
    fixture => new Driven(fixture.connect('web/1')),
  )

class Driven implements DrivenClient<Fields, SentBatch> {
  readonly #client: DeltaClient
  #markers = 0

  constructor(client: DeltaClient) {
    this.#client = client
  }

  send(typeUrl: string, fields: Fields): void {
    const { subscribe = [], unsubscribe = [], initialVersions, nonce = '', error } = fields
    this.#client.send({
      typeUrl,
      resourceNamesSubscribe: [...subscribe],
      resourceNamesUnsubscribe: [...unsubscribe],
      initialResourceVersions: Object.fromEntries(initialVersions ?? []),
      responseNonce: nonce,
      ...errorDetail(error),
    })
  }

  async untilMarker(): Promise<SentBatch[]> {
    this.#markers += 1
    this.#client.send({ typeUrl: markerType, resourceNamesSubscribe: [`marker ${this.#markers}`] })
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

  close(): void {
    this.#client.close()
  }
}
