import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Writable } from 'node:stream'
import type { EventAttributes } from '../src/outbox/cloud-event.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { startReplica, type TestReplica } from './support/replica.ts'
import { createTestSinks } from './support/sinks.ts'
import { context, instanceSpec } from './support/specs.ts'

type CloudEvent = EventAttributes & { readonly data: unknown }

/** The receiving end: everything that any owner has written, and a switch. */
class Receiver {
  readonly events: CloudEvent[] = []
  down = false

  stream(): Writable {
    const stream = new Writable({
      autoDestroy: false,
      decodeStrings: false,
      write: (chunk: string, _encoding, done) => {
        if (this.down) {
          done(new Error('EIO'))
          return
        }
        const lines = chunk.split('\n').filter(line => line !== '')
        this.events.push(...lines.map(line => JSON.parse(line) as CloudEvent))
        done()
      },
    })
    stream.on('error', () => undefined)
    return stream
  }
}

describe('publishers of two replicas on one Postgres', () => {
  let database: TestDatabase
  let replica: TestReplica
  const running: { readonly stop: () => Promise<void> }[] = []

  beforeEach(async () => {
    database = await createTestDatabase()
    replica = startReplica(database)
  })
  afterEach(async () => {
    await Promise.all(running.splice(0).map(({ stop }) => stop()))
    await replica.stop()
    await database.destroy()
  })

  const publish = (owner: string, stdout: Writable) => {
    const { manager, control } = createTestSinks(database, replica, {
      owner,
      stdout,
      sinks: [{ kind: 'stdout', name: 'out', start: 'oldest' }],
    })
    const abort = new AbortController()
    const ended = manager.start(abort.signal)
    const stop = async (): Promise<void> => {
      abort.abort()
      await ended
    }
    running.push({ stop })
    const status = () => {
      const [only] = manager.status()
      if (only === undefined) throw new Error('no sink')
      return only
    }
    return {
      publisher: {
        status,
        wake: () => {
          manager.wake()
        },
      },
      control,
      stop,
    }
  }

  const register = (service: string, id: string, port: number) =>
    replica.registry.register({ service, id, spec: instanceSpec({ port }) }, context)

  const ownerOf = (
    ...publishers: readonly { status(): { readonly owner: string | null } }[]
  ): string | null | undefined =>
    new Set(publishers.map(publisher => publisher.status().owner)).size === 1
      ? publishers[0]?.status().owner
      : undefined

  it('deliver every change once, in order, from one owner, and tell the same of it', async () => {
    const receiver = new Receiver()
    await register('payments', 'p1', 8080)
    const one = publish('one', receiver.stream())
    const two = publish('two', receiver.stream())
    for (let port = 1; port <= 20; port += 1) await register('payments', `p${port % 3}`, port)
    one.publisher.wake()
    await eventually(async () => {
      const { head } = await replica.log.readChanges({ after: 0, limit: 1 })
      expect(receiver.events.map(({ revision }) => Number(revision))).toEqual(
        Array.from({ length: head }, (_, index) => index + 1),
      )
      for (const { publisher } of [one, two]) {
        expect(publisher.status()).toMatchObject({ sink: 'out', revision: head, head, lag: 0, error: null })
      }
      expect(ownerOf(one.publisher, two.publisher)).toMatch(/one|two/)
    })
    const { sets } = await replica.log.readChanges({ after: 0, limit: 1_000 })
    const log = sets.flatMap(({ changes }) => changes)
    expect(receiver.events.map(({ id, data }) => ({ id, data }))).toEqual(
      log.map(({ id, before, after }) => ({ id, data: { before, after } })),
    )
    expect(receiver.events[0]).toMatchObject({
      type: 'io.waymark.instance.registered',
      subject: 'payments/p1',
      partitionkey: 'instance/payments/p1',
    })
  })

  it('hand over at once when the owner stops, and lose nothing when the sink was down meanwhile', async () => {
    const receiver = new Receiver()
    const one = publish('one', receiver.stream())
    await eventually(() => {
      expect(one.publisher.status().owner).toBe('one')
    })
    receiver.down = true
    await register('payments', 'p1', 1)
    await eventually(() => {
      expect(one.publisher.status()).toMatchObject({ error: 'EIO', lag: 1 })
    })
    // A stream that has failed stays so: its replica is of no more use, another one takes over.
    const two = publish('two', receiver.stream())
    await register('payments', 'p2', 2)
    // Before the role is free: else the stream of the next owner may fail, too.
    receiver.down = false
    await one.stop()
    await eventually(() => {
      expect(two.publisher.status()).toMatchObject({ owner: 'two', lag: 0, revision: 2, error: null })
    })
    expect([...new Set(receiver.events.map(({ subject }) => subject))]).toEqual([
      'payments/p1',
      'payments/p2',
    ])
  })

  it('deliver nothing that is written after a pause was answered, by whichever replica', async () => {
    const receiver = new Receiver()
    const parts = [publish('one', receiver.stream()), publish('two', receiver.stream())]
    replica.mesh.onDelta(() => {
      for (const { publisher } of parts) publisher.wake()
    })
    for (let turn = 0; turn < 20; turn += 1) {
      const part = parts[turn % parts.length]
      await part?.control.pause('out', 'ann')
      const before = replica.mesh.revision
      for (const id of ['a', 'b']) await register('payments', `${id}${turn}`, 1)
      await eventually(() => {
        for (const { publisher } of parts)
          expect(publisher.status()).toMatchObject({ lag: 2, paused: { by: 'ann' } })
      })
      expect(receiver.events.filter(({ revision }) => Number(revision) > before)).toEqual([])
      await part?.control.resume('out')
      await eventually(() => {
        for (const { publisher } of parts) expect(publisher.status()).toMatchObject({ lag: 0, paused: null })
      })
      // What was being delivered when the pause came may come again after it.
      expect(new Set(receiver.events.map(({ id }) => id)).size).toBe(replica.mesh.revision)
    }
  })

  it('lose nothing and keep the order when owners are paused for longer than their hold', async () => {
    const receiver = new Receiver()
    const one = publish('one', receiver.stream())
    const two = publish('two', receiver.stream())
    for (let port = 1; port <= 40; port += 1) {
      await register('payments', `p${port % 4}`, port)
      // What a pause of the owner amounts to: the role is somebody else's although nobody told it.
      if (port % 8 === 0) {
        await database.database
          .updateTable('role')
          .set({ expires_at: new Date(0), owner: 'paused' })
          .where('name', '=', 'outbox:out')
          .execute()
      }
    }
    const { head } = await replica.log.readChanges({ after: 0, limit: 1 })
    await eventually(() => {
      for (const { publisher } of [one, two]) expect(publisher.status()).toMatchObject({ head, lag: 0 })
    })
    const { sets } = await replica.log.readChanges({ after: 0, limit: 1_000 })
    const log = sets.flatMap(({ changes }) => changes)
    expect(new Set(receiver.events.map(({ id }) => id))).toEqual(new Set(log.map(({ id }) => id)))
    for (const subject of new Set(log.map(({ aggregateId }) => aggregateId))) {
      const first = [
        ...new Set(receiver.events.filter(event => event.subject === subject).map(({ id }) => id)),
      ]
      expect(first).toEqual(log.filter(({ aggregateId }) => aggregateId === subject).map(({ id }) => id))
    }
  })
})
