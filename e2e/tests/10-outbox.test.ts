import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from '@waymark/deploy/local/ports.ts'
import type { ManagedProcess } from '@waymark/deploy/local/processes.ts'
import { expect, it } from 'vitest'
import { childEnv } from '../harness/child-env.ts'
import { eventually } from '../harness/eventually.ts'
import { randomFrom } from '../harness/random.ts'
import { startTestMesh } from '../harness/story.ts'
import type { TestMesh } from '../harness/test-mesh.ts'

interface Event {
  readonly id: string
  readonly revision: string
  readonly position: number
  readonly partitionkey: string
}

const program = fileURLToPath(import.meta.resolve('../harness/webhook-receiver.ts'))
const chaosMs = 15_000
const seed = Number(process.env['WAYMARK_OUTBOX_CHAOS_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** Events of one file; a line that was cut off by a kill is left out: it was never acknowledged. */
const readEvents = async (file: string): Promise<Event[]> =>
  (existsSync(file) ? await readFile(file, 'utf8') : '').split('\n').flatMap(line => {
    try {
      return [JSON.parse(line) as Event]
    } catch {
      return []
    }
  })

/** Registers and deregisters instances, at one replica and the other, whether they answer or not. */
class Changes {
  readonly #mesh: TestMesh
  #turn = 0
  #running: { readonly abort: AbortController; readonly ended: Promise<void> } | null = null

  constructor(mesh: TestMesh) {
    this.#mesh = mesh
  }

  start(): void {
    const abort = new AbortController()
    this.#running = { abort, ended: this.#change(abort.signal) }
  }

  /** Resolves when no request is under way any more. */
  async stop(): Promise<void> {
    this.#running?.abort.abort()
    await this.#running?.ended
  }

  async #change(signal: AbortSignal): Promise<void> {
    for (; !signal.aborted; this.#turn += 1) {
      const turn = this.#turn
      const { api } = this.#mesh.replica(turn % 2)
      const path = `/services/svc-${turn % 3}/instances/i-${turn % 11}`
      const body = { address: '127.0.0.1', port: 1 + (turn % 60_000), lease: null }
      await api
        .call(turn % 5 === 0 ? 'DELETE' : 'PUT', path, turn % 5 === 0 ? undefined : body)
        .catch(() => undefined)
      await delay(10)
    }
  }
}

/** While the sink is paused, by whichever replica, nothing arrives that is written after that. */
const pauseFor = async (
  mesh: TestMesh,
  changes: Changes,
  { asked, ms, file }: { readonly asked: number; readonly ms: number; readonly file: string },
): Promise<void> => {
  const wish = (what: string) =>
    eventually(`a ${what}`, () => mesh.replica(asked).api.ok('POST', `/sinks/audit/${what}`))
  await changes.stop()
  await wish('pause')
  const port = 1 + Math.floor(performance.now() % 60_000)
  const marker = await eventually('a marker', () =>
    mesh.replica(asked).api.register('marker', 'paused', { address: '127.0.0.1', port, lease: null }),
  )
  changes.start()
  await delay(ms)
  const later = (await readEvents(file)).filter(({ revision }) => Number(revision) >= marker.body.revision)
  expect(later).toEqual([])
  await wish('resume')
}

const story =
  'publisher and sink killed and paused at random: nothing is missing at the sink, and order is kept'
it(`${story} (WAYMARK_OUTBOX_CHAOS_SEED=${seed})`, async () => {
  const random = randomFrom(seed)
  const port = await freePort()
  const secret = `whsec_${randomBytes(32).toString('base64')}`
  const mesh = await startTestMesh({
    avoid: [port],
    env: {
      WAYMARK_SINKS: `audit=http://127.0.0.1:${port}/events`,
      WAYMARK_SINK_AUDIT_SECRET: secret,
    },
  })
  const file = join(mesh.directory, 'events.ndjson')
  let starts = 0
  const startReceiver = (): ManagedProcess => {
    starts += 1
    return mesh.supervisor.start({
      name: `receiver-${starts}`,
      group: 'receivers',
      command: process.execPath,
      args: ['--disable-warning=ExperimentalWarning', program, JSON.stringify({ port, file, secret })],
      env: childEnv(),
    })
  }
  let receiver = startReceiver()
  const changes = new Changes(mesh)
  changes.start()
  mesh.onClose(() => changes.stop())
  await eventually('the first events', async () => (await readEvents(file)).length > 20)

  const until = performance.now() + chaosMs
  for (let turn = 0; performance.now() < until || turn < 6; turn += 1) {
    await delay(random() * 1_000)
    // Now the one, now the other: half of the time it is the owner of the sink.
    const one = random() < 0.5 ? 0 : 1
    if (turn % 3 === 0) {
      await receiver.kill()
      await delay(random() * 1_500)
      receiver = startReceiver()
    } else if (turn % 3 === 1) {
      const { process } = mesh.replica(one)
      await process.kill()
      await delay(random() * 500)
      await process.start()
    } else await pauseFor(mesh, changes, { asked: one, ms: random() * 1_500, file })
  }
  await changes.stop()

  const log = (await mesh.api.changes()).flatMap(({ changes }) => changes)
  expect(log.length).toBeGreaterThan(100)
  const wanted = new Set(log.map(({ id }) => id))
  await eventually(
    'every change to be at the sink',
    async () => {
      const received = new Set((await readEvents(file)).map(({ id }) => id))
      return [...wanted].every(id => received.has(id))
    },
    60_000,
  )
  const events = await readEvents(file)
  expect(events.filter(event => 'refused' in event)).toEqual([])

  // At least once: each at its first arrival, they are the log, aggregate by aggregate.
  const first = new Map(events.map(event => [event.id, event] as const).reverse())
  const byAggregate = (entries: Iterable<{ key: string; id: string }>): Record<string, string[]> => {
    const grouped: Record<string, string[]> = {}
    for (const { key, id } of entries) (grouped[key] ??= []).push(id)
    return grouped
  }
  const inOrderOfArrival = [...first.values()]
    .reverse()
    .map(({ partitionkey, id }) => ({ key: partitionkey, id }))
  expect(byAggregate(inOrderOfArrival)).toEqual(
    byAggregate(
      log.map(({ aggregateType, aggregateId, id }) => ({ key: `${aggregateType}/${aggregateId}`, id })),
    ),
  )
  await eventually('nothing to wait for the sink any more', async () => {
    const { sinks } = await mesh.api.status()
    return sinks?.some(({ sink, lag, parked }) => sink === 'audit' && lag === 0 && parked === 0)
  })
})
