import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DeliveryError } from '@waymark/control-plane/outbox/sink.ts'
import { encodeEvent } from '@waymark/control-plane/outbox/cloud-event.ts'
import { KafkaSink, type KafkaSinkOptions } from '@waymark/control-plane/outbox/kafka-sink.ts'
import { NatsSink, type NatsSinkOptions } from '@waymark/control-plane/outbox/nats-sink.ts'
import { describeSink, encodedEvents } from '@waymark/control-plane/outbox/sink-contract.ts'
import { systemClock } from '@waymark/control-plane/runtime/clock.ts'
import { freePorts } from '@waymark/deploy/local/ports.ts'
import { Supervisor } from '@waymark/deploy/local/processes.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readKafka, readNats } from '../brokers/consume.ts'
import { findKafka, findNats } from '../brokers/find-brokers.ts'
import { KafkaBroker, kafkaUser } from '../brokers/kafka-broker.ts'
import { NatsServer } from '../brokers/nats-server.ts'

const kafka = await findKafka()
const nats = await findNats()
const never = new AbortController().signal
const idsOf = (events: readonly { readonly event: { readonly id: string } }[]): string[] =>
  events.map(({ event }) => event.id)

let directory = ''
let supervisor: Supervisor
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waymark-brokers-'))
  supervisor = new Supervisor({ logDir: join(directory, 'logs') })
})
afterAll(async () => {
  await supervisor.stopAll()
  await rm(directory, { recursive: true, force: true })
})

/** An event whose `data` has so many characters. */
const large = (size: number) => {
  const [first] = encodedEvents(1, 1)
  if (first === undefined) throw new Error('no event')
  return encodeEvent({ ...first.event, id: 'large' }, JSON.stringify({ text: 'x'.repeat(size) }))
}

const failureOf = async (work: Promise<void>): Promise<DeliveryError> => {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(DeliveryError)
  return error as DeliveryError
}

describe.skipIf(kafka.missing !== null)(
  `Kafka${kafka.missing === null ? '' : ` (skipped: ${kafka.missing})`}`,
  () => {
    let broker: KafkaBroker
    let topics = 0
    beforeAll(async () => {
      if (kafka.missing !== null) return
      const [plain = 0, secured = 0, controller = 0] = await freePorts(3)
      const ports = [plain, secured, controller] as const
      broker = await KafkaBroker.start({
        files: kafka.broker,
        supervisor,
        directory: join(directory, 'kafka'),
        ports,
      })
    })

    const create = (options: Partial<KafkaSinkOptions> = {}) => {
      const topicPrefix = `test-${(topics += 1)}`
      const sink = new KafkaSink({
        name: 'stream',
        brokers: [broker.address],
        topicPrefix,
        createTopics: true,
        format: 'structured',
        timeoutMs: 5_000,
        tls: null,
        sasl: null,
        clock: systemClock,
        ...options,
      })
      const topic = `${topicPrefix}.document`
      return { sink, topic, read: () => readKafka(broker.address, { topics: [topic] }) }
    }

    describeSink('a Kafka topic', () => {
      const { sink, read } = create()
      return Promise.resolve({
        sink,
        received: async () => (await read().catch(() => [])).map(({ id }) => id),
        breakDown: () => broker.kill(),
        repair: () => broker.start(),
        destroy: () => Promise.resolve(),
      })
    })

    it('gets events by the CloudEvents binding, structured and binary', async () => {
      const events = encodedEvents(1, 3)
      const structured = create()
      await structured.sink.deliver(events, never)
      await structured.sink.close()
      const [first] = await structured.read()
      expect(first?.headers['content-type']).toBe('application/cloudevents+json; charset=UTF-8')
      expect(first?.value).toBe(events[0]?.json)
      expect(first?.key).toBe(`${structured.topic}/Service/a`)

      const binary = create({ format: 'binary' })
      await binary.sink.deliver(events, never)
      await binary.sink.close()
      const [second] = await binary.read()
      expect(second?.headers).toMatchObject({
        'content-type': 'application/json',
        ce_specversion: '1.0',
        ce_id: events[0]?.event.id,
        ce_type: 'io.waymark.document.applied',
        ce_source: '/waymark',
        ce_revision: '1',
      })
      expect(second?.headers).not.toHaveProperty('ce_datacontenttype')
      expect(second?.value).toBe(events[0]?.data)
    })

    it('refuses what is too large as poison, and takes others afterwards', async () => {
      const { sink, read } = create()
      const events = encodedEvents(2, 3)
      expect((await failureOf(sink.deliver([large(2_000_000)], never))).kind).toBe('poison')
      await sink.deliver(events, never)
      await sink.close()
      expect((await read()).map(({ id }) => id)).toEqual(idsOf(events))
    })

    it('waits for a topic that nobody may create', async () => {
      const { sink } = create({ createTopics: false })
      const failure = await failureOf(sink.deliver(encodedEvents(1, 1), never))
      expect(failure.kind).toBe('retryable')
      expect(failure.message).toContain('Unknown topic')
      await sink.close()
    })

    it('is logged in to by SCRAM, and says what is wrong with a password without showing it', async () => {
      const secured = { brokers: [broker.securedAddress] }
      const { sink, read } = create({ ...secured, sasl: { mechanism: 'SCRAM-SHA-512', ...kafkaUser } })
      await sink.deliver(encodedEvents(1, 2), never)
      await sink.close()
      expect(await read()).toHaveLength(2)
      const wrong = create({
        ...secured,
        sasl: { mechanism: 'SCRAM-SHA-512', username: 'waymark', password: 'no-secret' },
      })
      const failure = await failureOf(wrong.sink.deliver(encodedEvents(1, 1), never))
      expect(failure.kind).toBe('retryable')
      expect(failure.message).not.toContain('no-secret')
      await wrong.sink.close()
    })
  },
)

describe.skipIf(nats.missing !== null)(
  `NATS${nats.missing === null ? '' : ` (skipped: ${nats.missing})`}`,
  () => {
    let server: NatsServer
    let streams = 0
    beforeAll(async () => {
      if (nats.missing !== null) return
      const [port = 0] = await freePorts(1)
      server = await NatsServer.start({
        files: nats.broker,
        supervisor,
        directory: join(directory, 'nats'),
        port,
      })
    })

    const create = (options: Partial<NatsSinkOptions> = {}) => {
      const stream = `stream-${(streams += 1)}`
      const sink = new NatsSink({
        name: 'stream',
        servers: [server.address],
        login: {},
        credentials: null,
        tls: null,
        subjectPrefix: stream,
        createStream: stream,
        timeoutMs: 5_000,
        clock: systemClock,
        ...options,
      })
      return { sink, stream, read: () => readNats(server.address, stream) }
    }

    describeSink('a JetStream stream', () => {
      const { sink, read } = create()
      return Promise.resolve({
        sink,
        received: async () => (await read().catch(() => [])).map(({ id }) => id),
        breakDown: () => server.kill(),
        repair: () => server.start(),
        destroy: () => Promise.resolve(),
      })
    })

    it('gets events whose ids let it drop repetitions', async () => {
      const { sink, stream, read } = create()
      const events = encodedEvents(1, 3)
      await sink.deliver(events, never)
      await sink.deliver(events, never)
      await sink.close()
      const arrivals = await read()
      expect(arrivals.map(({ id }) => id)).toEqual(idsOf(events))
      expect(arrivals[0]).toMatchObject({ place: `${stream}.document.Service`, value: events[0]?.json })
    })

    it('refuses what is too large as poison, and takes others afterwards', async () => {
      const { sink, read } = create()
      const events = encodedEvents(2, 3)
      const failure = await failureOf(sink.deliver([...events.slice(0, 1), large(2_000_000)], never))
      expect(failure).toMatchObject({ kind: 'poison', delivered: 1 })
      await sink.deliver(events.slice(1), never)
      await sink.close()
      expect((await read()).map(({ id }) => id)).toEqual(idsOf(events))
    })

    it('waits for a stream that nobody has made', async () => {
      const { sink } = create({ createStream: null })
      const failure = await failureOf(sink.deliver(encodedEvents(1, 1), never))
      expect(failure.kind).toBe('retryable')
      await sink.close()
    })
  },
)
