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

/** Events of one file; a line that was cut off by a kill is left out: it was never acknowledged. */
const readEvents = async (file: string): Promise<Event[]> =>
  (existsSync(file) ? await readFile(file, 'utf8') : '').split('\n').flatMap(line => {
    try {
      return [JSON.parse(line) as Event]
    } catch {
      return []
    }
  })

/** Registers and deregisters instances at whatever replica answers, until it is aborted. */
const keepChanging = async (mesh: TestMesh, signal: AbortSignal): Promise<void> => {
  for (let turn = 0; !signal.aborted; turn += 1) {
    const { api } = mesh.replica(Math.random() < 0.5 ? 0 : 1)
    const path = `/services/svc-${turn % 3}/instances/i-${turn % 11}`
    const body = { address: '127.0.0.1', port: 1 + (turn % 60_000), lease: null }
    await api
      .call(turn % 5 === 0 ? 'DELETE' : 'PUT', path, turn % 5 === 0 ? undefined : body)
      .catch(() => undefined)
    await delay(10)
  }
}

it('publisher and sink killed at random: nothing is missing at the sink, and order is kept', async () => {
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
  const abort = new AbortController()
  const changing = keepChanging(mesh, abort.signal)
  mesh.onClose(() => {
    abort.abort()
    return changing
  })
  await eventually('the first events', async () => (await readEvents(file)).length > 20)

  const until = performance.now() + chaosMs
  for (let kills = 0; performance.now() < until || kills < 6; kills += 1) {
    await delay(Math.random() * 1_000)
    if (kills % 2 === 0) {
      await receiver.kill()
      await delay(Math.random() * 1_500)
      receiver = startReceiver()
    } else {
      // Now the one, now the other: half of the time it is the owner of the sink.
      const { process } = mesh.replica(Math.random() < 0.5 ? 0 : 1)
      await process.kill()
      await delay(Math.random() * 500)
      await process.start()
    }
  }
  abort.abort()
  await changing

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
