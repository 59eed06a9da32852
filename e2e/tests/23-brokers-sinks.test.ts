import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nkeys } from '@nats-io/transport-node'
import { DeliveryError } from '@waymark/control-plane/outbox/sink.ts'
import { discontinuityEvent, encodeEvent } from '@waymark/control-plane/outbox/cloud-event.ts'
import { KafkaSink, type KafkaSinkOptions } from '@waymark/control-plane/outbox/kafka-sink.ts'
import { openEventSink } from '@waymark/control-plane/outbox/open-event-sink.ts'
import { Secrets } from '@waymark/control-plane/outbox/secrets.ts'
import { NatsSink, type NatsSinkOptions } from '@waymark/control-plane/outbox/nats-sink.ts'
import { describeSink, encodedEvents } from '@waymark/control-plane/outbox/sink-contract.ts'
import { systemClock } from '@waymark/control-plane/runtime/clock.ts'
import { TestAuthority } from '@waymark/control-plane/xds/testing/test-certificates.ts'
import { freePorts } from '@waymark/deploy/local/ports.ts'
import { Supervisor } from '@waymark/deploy/local/processes.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readKafka, readNats } from '../brokers/consume.ts'
import { findKafka, findNats } from '../brokers/find-brokers.ts'
import { KafkaBroker, kafkaStranger, kafkaUser } from '../brokers/kafka-broker.ts'
import { NatsOperator } from '../brokers/nats-operator.ts'
import { NatsServer } from '../brokers/nats-server.ts'

const kafka = await findKafka()
const nats = await findNats()
const never = new AbortController().signal
const idsOf = (events: readonly { readonly event: { readonly id: string } }[]): string[] =>
  events.map(({ event }) => event.id)

let directory = ''
let supervisor: Supervisor
let authority: TestAuthority
beforeAll(async () => {
  authority = await TestAuthority.create()
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

/** Tells that the log does not continue. */
const gap = discontinuityEvent(
  { deliveredTo: 1, resumesAfter: 4, reason: 'compacted', at: '2026-01-01T00:00:00.000Z' },
  '/waymark',
)

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
      const [plain = 0, secured = 0, controller = 0, certified = 0, encrypted = 0] = await freePorts(5)
      const { certificate, key } = await authority.issue({ dns: ['localhost'] })
      broker = await KafkaBroker.start({
        files: kafka.broker,
        supervisor,
        directory: join(directory, 'kafka'),
        ports: [plain, secured, controller],
        secure: { ports: [certified, encrypted], root: authority.pem, certificate, key },
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
        allowsAddress: () => true,
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
      const { sink, topic } = create({ createTopics: false })
      const failure = await failureOf(sink.deliver(encodedEvents(1, 1), never))
      expect(failure.kind).toBe('unready')
      expect(failure.message).toBe(`Kafka: there is no topic ${topic}`)
      // What tells of a gap in the log has a topic of its own, which may be missing.
      const untold = await failureOf(sink.deliver([gap], never))
      expect(untold.kind).toBe('poison')
      expect(untold.message).toMatch(/there is no topic .*\.log$/)
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

    it('is reached by TLS, with a password or a client certificate, when its own certificate is right', async () => {
      const tls = { ca: authority.pem }
      const leaf = await authority.issue({ dns: ['waymark'] })
      const ways = [
        {
          brokers: [broker.encryptedAddress],
          tls,
          sasl: { mechanism: 'PLAIN', ...kafkaUser } as const,
        },
        { brokers: [broker.certifiedAddress], tls: { ...tls, cert: leaf.certificate, key: leaf.key } },
      ]
      for (const way of ways) {
        const { sink, read } = create(way)
        await sink.deliver(encodedEvents(1, 2), never)
        await sink.close()
        expect(await read()).toHaveLength(2)
      }
      const others = await TestAuthority.create('Somebody else')
      const [encrypted, certified] = ways
      for (const [way, words] of [
        [{ ...encrypted, tls: { ca: others.pem } }, /certificate/],
        [{ ...certified, tls }, /certificate|closed|ECONNRESET|EPIPE/i],
        [{ ...encrypted, tls: null, sasl: null }, /TLS|closed|timed out|ECONNRESET/i],
      ] as const) {
        const { sink } = create({ ...way, timeoutMs: 2_000 })
        expect(await failureOf(sink.deliver(encodedEvents(1, 1), never))).toMatchObject({
          kind: 'retryable',
          message: expect.stringMatching(words) as string,
        })
        await sink.close()
      }
    })

    it('says that it is not authorised, and waits', async () => {
      const { sink } = create({
        brokers: [broker.encryptedAddress],
        tls: { ca: authority.pem },
        sasl: { mechanism: 'PLAIN', ...kafkaStranger },
      })
      const failure = await failureOf(sink.deliver(encodedEvents(1, 1), never))
      expect(failure.kind).toBe('unready')
      expect(failure.message).toMatch(/^Kafka: not authorized to write to topic \S+\.document$/)
      const untold = await failureOf(sink.deliver([gap], never))
      expect(untold.kind).toBe('poison')
      await sink.close()
    })

    it('is not connected to where its address is denied, written, behind a name or advertised', async () => {
      const port = broker.address.split(':').at(-1) ?? ''
      const named = create({ brokers: [`localhost:${port}`] })
      await named.sink.deliver(encodedEvents(1, 1), never)
      await named.sink.close()
      expect(await named.read()).toHaveLength(1)
      for (const brokers of [
        [broker.address],
        [`localhost:${port}`],
        [broker.certifiedAddress, broker.address],
      ]) {
        const { sink } = create({ brokers, allowsAddress: () => false, tls: null })
        const { message } = await failureOf(sink.deliver(encodedEvents(1, 1), never))
        expect(message).toContain('its address is one that sinks must not reach')
        await sink.close()
      }
      const secured = create({
        brokers: [broker.encryptedAddress],
        allowsAddress: () => false,
        tls: { ca: authority.pem },
      })
      const { message } = await failureOf(secured.sink.deliver(encodedEvents(1, 1), never))
      expect(message).toContain('its address is one that sinks must not reach')
      await secured.sink.close()

      // The first one asked for is written in the settings, the next ones the broker has named.
      let asked = 0
      const advertised = create({ allowsAddress: () => (asked += 1) === 1 })
      const failure = await failureOf(advertised.sink.deliver(encodedEvents(1, 1), never))
      expect(failure.message).toContain('its address is one that sinks must not reach')
      await advertised.sink.close()
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
        nkey: null,
        allowsAddress: () => true,
        tls: null,
        subjectPrefix: stream,
        inboxPrefix: '_INBOX',
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
      expect(failure).toMatchObject({
        kind: 'unready',
        message: expect.stringContaining('no stream takes') as string,
      })
      expect(await failureOf(sink.deliver([gap], never))).toMatchObject({ kind: 'poison' })
      await sink.close()
    })

    it('is reached by TLS, logged in to by password, NKey, token, or a client certificate', async () => {
      if (nats.missing !== null) return
      const own = await authority.issue({ dns: ['localhost'], ips: ['127.0.0.1'] })
      const leaf = await authority.issue({ dns: ['waymark'] })
      const user = nkeys.createUser()
      const files = { cert: join(directory, 'nats-cert.pem'), key: join(directory, 'nats-key.pem') }
      await writeFile(files.cert, own.certificate)
      await writeFile(files.key, own.key)
      await writeFile(join(directory, 'nats-ca.pem'), authority.pem)
      const tlsOf = (verify: boolean): string =>
        `tls { cert_file: "${files.cert}", key_file: "${files.key}", ca_file: "${join(directory, 'nats-ca.pem')}", verify: ${verify} }`
      const start = async (name: string, settings: readonly string[]): Promise<NatsServer> => {
        const [port = 0] = await freePorts(1)
        return NatsServer.start({
          files: nats.broker,
          supervisor,
          directory: join(directory, name),
          port,
          settings,
        })
      }
      const users = `authorization { users: [ {user: waymark, password: nats-secret}, {nkey: ${user.getPublicKey()}} ] }`
      const byUser = await start('nats-users', [tlsOf(false), users])
      const byToken = await start('nats-token', [tlsOf(true), 'authorization { token: s3cret-token }'])
      const tls = { ca: authority.pem }
      const port = byUser.address.split(':').at(-1) ?? ''
      const password = { user: 'waymark', pass: 'nats-secret' }
      const ways: Partial<NatsSinkOptions>[] = [
        { servers: [`localhost:${port}`], tls, login: password },
        { servers: [byUser.address], tls, nkey: new TextDecoder().decode(user.getSeed()) },
        {
          servers: ['127.0.0.1:1', byToken.address],
          tls: { ...tls, cert: leaf.certificate, key: leaf.key },
          login: { token: 's3cret-token' },
        },
      ]
      for (const way of ways) {
        const { sink } = create(way)
        await sink.deliver(encodedEvents(1, 2), never)
        await sink.close()
      }
      const [first] = ways
      const others = await TestAuthority.create('Somebody else')
      for (const wrong of [
        { ...first, login: { ...password, pass: 'no-secret' } },
        { ...first, tls: { ca: others.pem } },
        { servers: [byToken.address], tls, login: { token: 's3cret-token' } },
        { servers: [server.address], tls },
      ]) {
        const { sink } = create(wrong)
        const failure = await failureOf(sink.deliver(encodedEvents(1, 1), never))
        expect(failure.kind).toBe('retryable')
        expect(failure.message).not.toMatch(/secret/)
        await sink.close()
      }
    })

    it('is logged in to by a .creds file, from a file or a variable, where only signatures say who is who', async () => {
      if (nats.missing !== null) return
      const operator = new NatsOperator()
      const [port = 0] = await freePorts(1)
      const guarded = await NatsServer.start({
        files: nats.broker,
        supervisor,
        directory: join(directory, 'nats-operator'),
        port,
        settings: operator.settings,
      })
      const everything = operator.user()
      const onlyDocuments = operator.user({ publish: ['$JS.API.>', '*.document.>'] })
      const secretFiles = join(directory, 'secrets')
      await mkdir(secretFiles)
      await writeFile(join(secretFiles, 'in-a-file'), everything.credentials)
      await writeFile(join(secretFiles, 'of-another'), new NatsOperator().user().credentials)
      await writeFile(join(secretFiles, 'deaf'), operator.user({ listen: ['nothing'] }).credentials)
      const environment = { WAYMARK_SECRET_IN_A_VARIABLE: onlyDocuments.credentials }
      const own = { publish: ['$JS.API.>', 'creds.>'], listen: ['_INBOX_waymark.>'] }
      await writeFile(join(secretFiles, 'own-inbox'), operator.user(own).credentials)
      const open = (credentials: string, more: { createStream?: string; inboxPrefix?: string } = {}) => {
        const nats = { servers: [guarded.address], credentials, subjectPrefix: 'creds', ...more }
        return openEventSink(
          { name: 'stream', spec: { type: 'nats', start: 'oldest', nats } },
          {
            secrets: new Secrets({ directory: secretFiles, environment }),
            clock: systemClock,
            stdout: process.stdout,
            filesDirectory: null,
            allowsAddress: () => true,
          },
        )
      }
      const events = encodedEvents(1, 4)
      for (const [sink, some] of [
        [await open('in-a-file', { createStream: 'CREDS' }), events.slice(0, 2)],
        [await open('in-a-variable'), events.slice(2, 3)],
        [await open('own-inbox', { createStream: 'CREDS', inboxPrefix: '_INBOX_waymark' }), events.slice(3)],
      ] as const) {
        await sink.deliver(some, never)
        await sink.close()
      }
      const arrivals = await readNats(guarded.address, 'CREDS', everything.authenticator)
      expect(arrivals.map(({ id }) => id)).toEqual(idsOf(events))

      // Without a right the server answers nothing: it says so, once, of the whole connection.
      for (const [credentials, kind, words] of [
        ['of-another', 'retryable', /Authorization Violation/],
        ['deaf', 'unready', /Permissions Violation for Subscription/],
      ] as const) {
        const sink = await open(credentials)
        const failure = await failureOf(sink.deliver(events, never))
        expect(failure.kind).toBe(kind)
        expect(failure.message).toMatch(words)
        await sink.close()
      }
      // What tells of a gap has a subject of its own, which need not be for us.
      const sink = await open('in-a-variable')
      expect(await failureOf(sink.deliver([gap], never))).toMatchObject({ kind: 'poison' })
      await sink.deliver(encodedEvents(5, 5), never)
      await sink.close()
    })

    it('is not connected to where its address is denied', async () => {
      const port = server.address.split(':').at(-1) ?? ''
      for (const servers of [[server.address], [`localhost:${port}`]]) {
        const { sink } = create({ servers, allowsAddress: () => false })
        const { message } = await failureOf(sink.deliver(encodedEvents(1, 1), never))
        expect(message).toContain('its address is one that sinks must not reach')
        await sink.close()
      }
    })
  },
)
