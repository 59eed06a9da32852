import { connect } from 'node:net'
import { Client, credentials, status, type StatusObject } from '@grpc/grpc-js'
import {
  DeltaDiscoveryResponse,
  DiscoveryResponse,
} from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import * as fc from 'fast-check'
import { systemClock } from '../../runtime/clock.ts'
import { silentLogger } from '../../runtime/logger.ts'
import { ClientStatusService } from '../client-status/client-status-service.ts'
import { LoadBook } from '../load-reports/load-book.ts'
import { LoadReportService } from '../load-reports/load-report-service.ts'
import { MemorySource } from '../memory-source.ts'
import { discoveryServices } from '../transport/discovery-services.ts'
import { endpointType } from '../type-urls.ts'
import type { DeltaClient } from './delta-client.ts'
import { connectionBytes } from './fuzz-frames.ts'
import { encodeFuzzRequest, fuzzStep, loadReport, statusRequest, type FuzzStep } from './fuzz-messages.ts'
import { FuzzNonces } from './fuzz-nonces.ts'
import { resource, ServerFixture } from './server-fixture.ts'

const loadPath = '/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats'
const statusPath = '/envoy.service.status.v3.ClientStatusDiscoveryService/StreamClientStatus'

/** How a stream may end: by its client, for bytes that make no sense, or beyond a limit. */
const documented: readonly number[] = [status.OK, status.INVALID_ARGUMENT, status.RESOURCE_EXHAUSTED]

/** Time for what is on its way when the clients go, and for the server to notice those that it hears nothing of. */
const clearMs = 30_000

const responses = { delta: DeltaDiscoveryResponse, sotw: DiscoveryResponse }

const identity = (bytes: Buffer): Buffer => bytes

/** A server with a good client, whose changes must arrive whatever others do. */
export class FuzzedServer implements AsyncDisposable {
  readonly #fixture: ServerFixture
  readonly #good: DeltaClient
  readonly #bad: Client
  #change = 0

  static async start(): Promise<FuzzedServer> {
    const source = new MemorySource()
    const common = { source, clock: systemClock, logger: silentLogger }
    const fixture: ServerFixture = await ServerFixture.start({
      source,
      services: [
        new LoadReportService({ ...common, book: new LoadBook(common), intervalMs: 1_000 }),
        new ClientStatusService({ clock: systemClock, clients: () => fixture.server.book.clients() }),
      ],
      limits: { maxNames: 100, maxRequestBytes: 16_384 },
      timings: { keepaliveMs: 2_000, keepaliveTimeoutMs: 2_000 },
    })
    const good = fixture.connect('good/1')
    good.send({ typeUrl: endpointType, resourceNamesSubscribe: ['good'] })
    await good.take()
    return new FuzzedServer(fixture, good)
  }

  private constructor(fixture: ServerFixture, good: DeltaClient) {
    this.#fixture = fixture
    this.#good = good
    const { host, port } = fixture.address
    this.#bad = new Client(`${host}:${port}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    })
  }

  /** Messages of any service, valid, mutated and made up. */
  streams(): fc.IAsyncProperty<[FuzzCall]> {
    return fc.asyncProperty(fuzzCall, async call => {
      const { code, details } = await this.#send(call)
      if (!documented.includes(code)) throw new Error(`a stream ended with ${code}: ${details}`)
      await this.#goodGetsAChange()
    })
  }

  /** Bytes of connections: frames, valid, mutated and made up. */
  connections(): fc.IAsyncProperty<[Buffer[]]> {
    return fc.asyncProperty(connectionBytes, async parts => {
      const socket = connect({ ...this.#fixture.address, noDelay: true })
      socket.on('error', () => undefined)
      socket.resume()
      for (const part of parts) {
        socket.write(part)
        await this.#goodGetsAChange()
      }
      socket.destroy()
      await this.#newStreamWorks()
    })
  }

  /** Resolves when nothing is left of any client; a leak is one that it waits for in vain. */
  async cleared(): Promise<void> {
    this.#bad.close()
    this.#good.close()
    const { server, source } = this.#fixture
    const left = (): string[] =>
      Object.entries({
        ...server.kept,
        streams: server.counters.streams,
        nodes: [...server.book.nodes].length,
        waiting: server.counters.waiting,
        views: source.views,
        watchers: source.watchers,
      }).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what}`]))
    const end = systemClock.monotonic() + clearMs
    while (left().length > 0) {
      if (systemClock.monotonic() > end)
        throw new Error(`left of clients that have gone: ${left().join(', ')}`)
      await systemClock.sleep(20)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#bad.close()
    await this.#fixture[Symbol.asyncDispose]()
  }

  async #goodGetsAChange(): Promise<void> {
    this.#change += 1
    this.#fixture.put(resource(endpointType, 'good', `change ${this.#change}`))
    const { resources } = await this.#good.take()
    const [body] = resources.map(({ resource: any }) => Buffer.from(any?.value ?? []).toString())
    if (body !== `change ${this.#change}`) throw new Error(`the good stream got ${body ?? 'nothing'}`)
  }

  async #newStreamWorks(): Promise<void> {
    const client = this.#fixture.connect('new/1')
    client.send({ typeUrl: endpointType, resourceNamesSubscribe: ['good'] })
    await client.take()
    client.close()
  }

  async #send({ path, form, steps }: FuzzCall): Promise<StatusObject> {
    const call = this.#bad.makeBidiStreamRequest(path, identity, identity)
    const nonces = new FuzzNonces()
    let first = true
    const ended = new Promise<StatusObject>(resolve => {
      call.on('status', resolve)
    })
    call.on('error', () => undefined)
    call.on('data', (bytes: Buffer) => {
      if (form === undefined) return
      const { typeUrl, nonce } = responses[form].decode(bytes)
      nonces.add(typeUrl, nonce)
    })
    for (const step of steps) {
      if (step.do === 'change') await this.#goodGetsAChange()
      else if (step.do === 'bytes') call.write(step.bytes)
      else if (step.do === 'request' && form !== undefined) {
        call.write(encodeFuzzRequest(step.request, { form, nonces, first }))
        first = false
      }
    }
    call.end()
    return ended
  }
}

interface FuzzCall {
  readonly path: string
  /** undefined: none of the discovery services. */
  readonly form: 'delta' | 'sotw' | undefined
  readonly steps: readonly FuzzStep[]
}

const other = (path: string, bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<FuzzCall> =>
  fc.record({
    path: fc.constant(path),
    form: fc.constant(undefined),
    steps: fc.array(fc.record({ do: fc.constant('bytes' as const), bytes }), { maxLength: 8 }),
  })

const fuzzCall: fc.Arbitrary<FuzzCall> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({
        service: fc.constantFrom(...discoveryServices),
        steps: fc.array(fuzzStep, { minLength: 1, maxLength: 12, size: 'max' }),
      })
      .map(({ service: { path, form }, steps }) => ({ path, form, steps })),
  },
  { weight: 1, arbitrary: other(loadPath, loadReport) },
  { weight: 1, arbitrary: other(statusPath, statusRequest) },
)
