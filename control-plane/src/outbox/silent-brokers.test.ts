import { kGetConnection } from '@platformatic/kafka'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { systemClock } from '../runtime/clock.ts'
import { GuardedProducer } from './guarded-producer.ts'
import { KafkaSink } from './kafka-sink.ts'
import { NatsSink } from './nats-sink.ts'
import { encodedEvents } from './sink-contract.ts'
import { toDeliveryError, type Sink } from './sink.ts'

/** Takes connections and says nothing, as a broker that hangs or a firewall. */
let server: Server
let connections: Set<Socket>
let taken: number
let address: string
let greeting: string

beforeEach(async () => {
  connections = new Set()
  taken = 0
  greeting = ''
  server = createServer(socket => {
    taken += 1
    connections.add(socket)
    socket.on('error', () => undefined).on('close', () => connections.delete(socket))
    socket.resume()
    if (greeting !== '') socket.write(greeting)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  address = `127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(async () => {
  for (const socket of connections) socket.destroy()
  await new Promise(resolve => server.close(resolve))
  vi.restoreAllMocks()
})

const common = { name: 'stream', timeoutMs: 300, clock: systemClock, allowsAddress: () => true }
const kafka = (tls: boolean): Sink =>
  new KafkaSink({
    ...common,
    ...{ brokers: [address], topicPrefix: 't', createTopics: true, format: 'structured', sasl: null },
    tls: tls ? {} : null,
  })
const nats = (tls: boolean, timeoutMs = common.timeoutMs): Sink =>
  new NatsSink({
    ...common,
    timeoutMs,
    ...{
      servers: [address],
      login: {},
      credentials: null,
      nkey: null,
      subjectPrefix: 's',
      inboxPrefix: '_INBOX',
      createStream: 's',
    },
    tls: tls ? {} : null,
  })

it.each([
  ['Kafka', kafka, false],
  ['Kafka with TLS', kafka, true],
  ['NATS', nats, false],
  ['NATS with TLS', nats, true],
])('%s that never answers is given up in time, with its connections', async (_name, create, tls) => {
  const sink = create(tls)
  for (const turn of [1, 2]) {
    const error = await sink.deliver(encodedEvents(1, 2), new AbortController().signal).catch(toDeliveryError)
    expect(error).toMatchObject({ kind: 'retryable', delivered: 0 })
    await vi.waitFor(() => {
      expect(taken).toBeGreaterThanOrEqual(turn)
    }, 5_000)
  }
  await sink.close()
  await vi.waitFor(() => {
    expect(connections.size).toBe(0)
  }, 5_000)
})

it('Kafka that stops reading in the middle of a request is given up in time', async () => {
  server.removeAllListeners('connection').on('connection', socket => {
    connections.add(socket.on('error', () => undefined).pause())
  })
  // As the library sends a request, of more than the buffers of the system take.
  vi.spyOn(GuardedProducer.prototype, 'metadata').mockResolvedValue(undefined as never)
  vi.spyOn(GuardedProducer.prototype, 'send').mockImplementation(function (this: GuardedProducer) {
    const [host = '', port] = address.split(':')
    return new Promise((_, reject) => {
      this[kGetConnection]({ host, port: Number(port) }, (error, connection) => {
        if (connection === undefined) reject(error ?? new Error('no connection'))
        else connection.socket.write(Buffer.alloc(64_000_000))
      })
    })
  })
  const sink = kafka(false)
  const error = await sink.deliver(encodedEvents(1, 2), new AbortController().signal).catch(toDeliveryError)
  expect(error).toMatchObject({ kind: 'retryable', message: 'no answer from the brokers within 300 ms' })
})

it('What is no NATS server is not logged in to', async () => {
  greeting = 'HTTP/1.1 400 Bad Request\r\n\r\n'
  const sink = nats(false, 30_000)
  const error = await sink.deliver(encodedEvents(1, 1), new AbortController().signal).catch(toDeliveryError)
  expect(error).toMatchObject({ kind: 'retryable', message: 'NATS: what answers is no NATS server' })
  await sink.close()
})
