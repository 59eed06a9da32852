import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { SinkListView } from '@waymark/control-plane/rest/schemas/sink.ts'
import { expect, it } from 'vitest'
import { readKafka, readNats, type Arrival } from '../brokers/consume.ts'
import { findKafka, findNats } from '../brokers/find-brokers.ts'
import { KafkaBroker } from '../brokers/kafka-broker.ts'
import { NatsServer } from '../brokers/nats-server.ts'
import { bundledProgram } from '../harness/bundled-program.ts'
import { randomFrom } from '../harness/random.ts'
import { eventually } from '../harness/eventually.ts'
import { startTestMesh } from '../harness/story.ts'
import type { TestMesh } from '../harness/test-mesh.ts'

const kafka = await findKafka()
const nats = await findNats()
const missing = kafka.missing ?? nats.missing

/** The long form: WAYMARK_OUTBOX_CHAOS_SECONDS=600 WAYMARK_OUTBOX_CHAOS_SEED=1. */
const seconds = Number(process.env['WAYMARK_OUTBOX_CHAOS_SECONDS'] ?? 5)
const seed = Number(process.env['WAYMARK_OUTBOX_CHAOS_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const perSecond = 1_000
const everyMs = 100
const aggregates = 500
const settleMs = 60_000 + seconds * 1_000

/** Changes of 500 instances at a steady rate, at whatever replica answers; what fails is not sent again. */
const keepChanging = async (mesh: TestMesh, signal: AbortSignal): Promise<number> => {
  let sent = 0
  const requests = new Set<Promise<unknown>>()
  const started = performance.now()
  for (let turn = 0; !signal.aborted; turn += 1) {
    const lines = Array.from({ length: (perSecond * everyMs) / 1_000 }, () => {
      sent += 1
      const id = `i-${sent % aggregates}`
      return JSON.stringify({
        service: `svc-${sent % 5}`,
        id,
        address: '10.0.0.1',
        port: 1 + (sent % 60_000),
        lease: null,
      })
    })
    const { url } = mesh.replica(turn % 2).process
    const request = fetch(`${url}/api/v1/instances:batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: `${lines.join('\n')}\n`,
      signal: AbortSignal.timeout(10_000),
    })
      .then(answer => answer.text())
      .catch(() => undefined)
      .finally(() => requests.delete(request))
    requests.add(request)
    await delay(Math.max(0, started + (turn + 1) * everyMs - performance.now()))
  }
  await Promise.all(requests)
  return sent
}

/** Ids in order of their first arrival, by aggregate. */
const firstArrivals = (
  arrivals: Iterable<{ readonly id: string; readonly key: string }>,
): Map<string, string[]> => {
  const seen = new Set<string>()
  const byKey = new Map<string, string[]>()
  for (const { id, key } of arrivals) {
    if (seen.has(id)) continue
    seen.add(id)
    const ids = byKey.get(key)
    if (ids === undefined) byKey.set(key, [id])
    else ids.push(id)
  }
  return byKey
}

it.skipIf(missing !== null)(
  `replicas, Kafka and NATS killed at random under ${perSecond} changes/s: nothing is missing, order is kept` +
    (missing === null ? '' : ` (skipped: ${missing})`),
  async () => {
    if (kafka.missing !== null || nats.missing !== null) return
    const random = randomFrom(seed)
    // The libraries of the brokers are loaded late.
    const mesh = await startTestMesh({ program: await bundledProgram() })
    const { supervisor } = mesh
    const [plain = 0, secured = 0, controller = 0, port = 0] = await mesh.ports(4)
    const [broker, server] = await Promise.all([
      KafkaBroker.start({
        files: kafka.broker,
        supervisor,
        directory: join(mesh.directory, 'kafka'),
        ports: [plain, secured, controller],
      }),
      NatsServer.start({ files: nats.broker, supervisor, directory: join(mesh.directory, 'nats'), port }),
    ])
    const timeout = '3s'
    await mesh.api.apply('EventSink', 'kafka', {
      type: 'kafka',
      kafka: { brokers: [broker.address], createTopics: true, timeout },
    })
    await mesh.api.apply('EventSink', 'nats', {
      type: 'nats',
      nats: { servers: [server.address], createStream: 'WAYMARK', timeout },
    })
    const abort = new AbortController()
    const changing = keepChanging(mesh, abort.signal)
    mesh.onClose(() => {
      abort.abort()
      return changing
    })
    const sinks = async () => (await mesh.api.get<SinkListView>('/sinks')).sinks
    await eventually(
      'both sinks to have something',
      async () =>
        (await sinks()).every(({ sink, revision }) => ['kafka', 'nats'].includes(sink) && revision > 100),
      settleMs,
    )

    const restart = async (victim: {
      kill(): Promise<unknown>
      start(): Promise<unknown>
    }): Promise<void> => {
      await victim.kill()
      await delay(random() * 500)
      await victim.start()
    }
    // Both of the brokers and both replicas at least once, then whoever comes.
    const victims = [broker, server, mesh.replica(0).process, mesh.replica(1).process]
    const until = performance.now() + seconds * 1_000
    const restarts: Promise<void>[] = [restart(broker)]
    for (let turn = 1; performance.now() < until || turn < victims.length; turn += 1) {
      const victim = turn < victims.length ? victims[turn] : victims[Math.floor(random() * victims.length)]
      await delay(random() * 1_000)
      if (victim === broker) await Promise.all(restarts.splice(0))
      const restarted = restart(victim ?? broker)
      if (victim === broker) restarts.push(restarted)
      else await restarted
    }
    await Promise.all(restarts)
    abort.abort()
    const sent = await changing

    const log = (await mesh.api.changes()).flatMap(({ changes }) => changes)
    const head = log.at(-1)?.revision ?? 0
    await eventually(
      'both sinks to have everything',
      async () =>
        (await sinks()).every(({ revision, lag, parked }) => revision === head && lag === 0 && parked === 0),
      settleMs,
    )
    const topics = ['waymark.changes.instance', 'waymark.changes.document']
    const inKafka = await readKafka(broker.address, { topics })
    const inNats = await readNats(server.address, 'WAYMARK')
    const figures = (arrivals: readonly Arrival[]) => `${arrivals.length - log.length} duplicates`
    console.info(
      `seed ${seed}: ${sent} changes sent, ${log.length} in the log; Kafka ${figures(inKafka)}, NATS ${figures(inNats)}`,
    )
    expect(log.length).toBeGreaterThan((perSecond * seconds) / 4)
    const wanted = firstArrivals(
      log.map(({ id, aggregateType, aggregateId }) => ({ id, key: `${aggregateType}/${aggregateId}` })),
    )
    const kafkaKeys = inKafka.map(({ id, key }) => ({ id, key: key.replace('waymark.changes.', '') }))
    expect(firstArrivals(kafkaKeys)).toEqual(wanted)
    expect(firstArrivals(inNats)).toEqual(wanted)
  },
  120_000 + 3 * settleMs,
)
