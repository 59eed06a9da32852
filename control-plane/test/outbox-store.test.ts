import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encodeEvent, toAttributes } from '../src/outbox/cloud-event.ts'
import type { ParkedEvent } from '../src/domain/outbox.ts'
import type { OutboxStore } from '../src/outbox/outbox-store.ts'
import { OutboxLog } from '../src/store/outbox-log.ts'
import { OutboxTable } from '../src/store/outbox-table.ts'
import { SinkTable } from '../src/store/sink-table.ts'
import { loggedChange } from './support/changes.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { MemoryOutbox } from './support/memory-outbox.ts'

const sink = 'hook'

const parkedEvent = (revision: number, name: string, overrides: Partial<ParkedEvent> = {}): ParkedEvent => {
  const change = loggedChange({ revision, name })
  return {
    id: change.id,
    revision,
    position: 0,
    aggregateType: change.aggregateType,
    aggregateId: change.aggregateId,
    event: encodeEvent(toAttributes(change, '/waymark'), change.payload).json,
    error: 'the receiver answered 422: "no"\nüñ',
    attempts: 5,
    ...overrides,
  }
}

/** An event's text may come back in another order of its fields. */
const shown = (events: readonly (ParkedEvent | undefined)[]) =>
  events.map(event => ({ ...event, event: JSON.parse(event?.event ?? 'null') as unknown }))

/** What the publisher relies on, of the tables and of the model that its properties run on. */
const describeStore = (name: string, create: () => OutboxStore): void => {
  describe(`${name} as the outbox's store`, () => {
    let store: OutboxStore
    beforeEach(() => {
      store = create()
    })

    it('makes a cursor at the first claim and gives it to the later ones', async () => {
      expect(await store.progress(sink)).toMatchObject({ cursor: null, parked: 0 })
      expect(await store.claim({ sink, fence: 1, start: 'oldest', origin: 'configuration' })).toMatchObject({
        cursor: { revision: 0, position: 0 },
      })
      expect(
        await store.advance({ sink, epoch: 0, fence: 1, to: { revision: 3, position: 2 }, park: [] }),
      ).toBe(true)
      expect(await store.claim({ sink, fence: 2, start: 'now', origin: 'configuration' })).toMatchObject({
        cursor: { revision: 3, position: 2 },
      })
      expect(await store.progress(sink)).toMatchObject({ cursor: { revision: 3, position: 2 } })
    })

    it('keeps the last gap', async () => {
      await store.claim({ sink, fence: 1, start: 'oldest', origin: 'configuration' })
      expect((await store.progress(sink)).gap).toBeNull()
      const gap = {
        deliveredTo: 1,
        resumesAfter: 4,
        reason: 'compacted',
        at: '2026-01-01T00:00:00.000Z',
      } as const
      const step = { sink, fence: 1, epoch: 0, park: [] }
      expect(await store.advance({ ...step, to: { revision: 4, position: 0 }, gap })).toBe(true)
      expect(await store.advance({ ...step, to: { revision: 5, position: 0 } })).toBe(true)
      expect((await store.progress(sink)).gap).toEqual(gap)
    })

    it('shuts out a former owner from everything', async () => {
      await store.claim({ sink, fence: 4, start: 'oldest', origin: 'configuration' })
      const parked = parkedEvent(1, 'a')
      await store.advance({ sink, epoch: 0, fence: 4, to: { revision: 1, position: 0 }, park: [parked] })
      await store.claim({ sink, fence: 5, start: 'oldest', origin: 'configuration' })
      const { id } = parked
      expect(await store.claim({ sink, fence: 4, start: 'oldest', origin: 'configuration' })).toBeNull()
      expect(
        await store.advance({
          sink,
          epoch: 0,
          fence: 4,
          to: { revision: 9, position: 0 },
          park: [parkedEvent(2, 'b')],
        }),
      ).toBe(false)
      expect(await store.unpark({ sink, fence: 4, epoch: 0, id })).toBe(false)
      expect(await store.refused({ sink, fence: 4, epoch: 0, id, error: 'late' })).toBe(false)
      expect(await store.progress(sink)).toMatchObject({ cursor: { revision: 1, position: 0 }, parked: 1 })
      expect(shown(await store.parkedHeads({ sink, limit: 9 }))).toEqual(shown([parked]))
    })

    it('takes nothing under another epoch', async () => {
      await store.claim({ sink, fence: 4, start: 'oldest', origin: 'configuration' })
      const hold = { sink, fence: 4, epoch: 0 }
      const parked = parkedEvent(1, 'a')
      const to = { revision: 1, position: 0 }
      expect(await store.advance({ ...hold, to, park: [parked] })).toBe(true)
      const late = { ...hold, epoch: 1 }
      expect(await store.advance({ ...late, to: { revision: 9, position: 0 }, park: [] })).toBe(false)
      expect(await store.unpark({ ...late, id: parked.id })).toBe(false)
      expect(await store.refused({ ...late, id: parked.id, error: 'late' })).toBe(false)
      expect(await store.progress(sink)).toMatchObject({ cursor: to, parked: 1 })
      expect(shown(await store.parkedHeads({ sink, limit: 9 }))).toEqual(shown([parked]))
    })

    it('keeps parked events whole and in order', async () => {
      await store.claim({ sink, fence: 1, start: 'oldest', origin: 'configuration' })
      const events = [
        parkedEvent(1, 'a'),
        parkedEvent(2, 'b', { attempts: 3 }),
        parkedEvent(10, 'a', { attempts: 0 }),
        parkedEvent(11, 'b', { attempts: 0 }),
      ]
      await store.advance({ sink, epoch: 0, fence: 1, to: { revision: 11, position: 0 }, park: events })
      const [a, b, laterA] = events
      expect(await store.parkedAggregates(sink)).toEqual({
        aggregates: expect.arrayContaining(['document/Service/a', 'document/Service/b']) as string[],
        events: 4,
        bytes: expect.toSatisfy((bytes: number) => bytes > 4 * 20) as number,
      })
      // Those tried least come first.
      expect(shown(await store.parkedHeads({ sink, limit: 9 }))).toEqual(shown([b, a]))
      expect(shown(await store.parkedHeads({ sink, limit: 1 }))).toEqual(shown([b]))
      const ofA = { sink, aggregateType: 'document', aggregateId: 'Service/a' }
      expect(shown(await store.parkedOf({ ...ofA, limit: 9 }))).toEqual(shown([a, laterA]))
      expect(shown(await store.parkedOf({ ...ofA, limit: 1 }))).toEqual(shown([a]))
    })

    it('counts attempts, removes what was delivered, and parks nothing twice', async () => {
      await store.claim({ sink, fence: 1, start: 'oldest', origin: 'configuration' })
      const parked = parkedEvent(1, 'a')
      const step = { sink, epoch: 0, fence: 1, to: { revision: 1, position: 0 }, park: [parked] }
      expect(await store.advance(step)).toBe(true)
      expect(await store.advance(step)).toBe(true)
      expect(await store.refused({ sink, fence: 1, epoch: 0, id: parked.id, error: 'again' })).toBe(true)
      expect(shown(await store.parkedHeads({ sink, limit: 9 }))).toEqual(
        shown([{ ...parked, error: 'again', attempts: 6 }]),
      )
      expect(await store.unpark({ sink, fence: 1, epoch: 0, id: parked.id })).toBe(true)
      expect(await store.parkedAggregates(sink)).toEqual({ aggregates: [], events: 0, bytes: 0 })
    })
  })
}

describeStore('the memory model', () => new MemoryOutbox())

describe('in Postgres', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await createTestDatabase()
  })
  afterEach(async () => {
    await database.database.deleteFrom('outbox_cursor').execute()
    await database.database.deleteFrom('outbox_parked').execute()
  })
  afterAll(() => database.destroy())

  describeStore('the table', () => new OutboxTable(database.database))

  it('keeps sinks apart', async () => {
    const store = new OutboxTable(database.database)
    await store.claim({ sink: 'one', fence: 1, start: 'oldest', origin: 'configuration' })
    await store.claim({ sink: 'two', fence: 7, start: 'oldest', origin: 'configuration' })
    const to = { revision: 4, position: 0 }
    await store.advance({ sink: 'one', epoch: 0, fence: 1, to, park: [parkedEvent(4, 'a')] })
    expect(await store.progress('two')).toMatchObject({ cursor: { revision: 0 }, parked: 0 })
    expect(shown(await store.parkedHeads({ sink: 'two', limit: 9 }))).toEqual(shown([]))
  })

  it('says with each page whether the sink was still held so', async () => {
    const store = new OutboxTable(database.database)
    const log = new OutboxLog(database.database)
    const table = new SinkTable(database.database)
    const identity = { sink, start: 'oldest', origin: 'configuration' } as const
    const page = { after: { revision: 0, position: 0 }, limit: 10, maxBytes: 1_000 }
    const held = async (hold: { readonly fence: number; readonly epoch: number }): Promise<boolean> =>
      (await log.read({ ...page, hold: { sink, ...hold } })).held
    expect(await held({ fence: 4, epoch: 0 })).toBe(false)
    await store.claim({ ...identity, fence: 4 })
    expect(await held({ fence: 4, epoch: 0 })).toBe(true)
    await table.pause(identity, 'ann')
    expect(await held({ fence: 4, epoch: 0 })).toBe(false)
    expect(await held({ fence: 4, epoch: 1 })).toBe(true)
    await store.claim({ ...identity, fence: 5 })
    expect(await held({ fence: 4, epoch: 1 })).toBe(false)
    await store.claim({ ...identity, sink: 'other', fence: 4 })
    expect(await held({ fence: 4, epoch: 1 })).toBe(false)
  })

  it('parks a thousand events with the cursor in one go', async () => {
    const store = new OutboxTable(database.database)
    await store.claim({ sink, fence: 1, start: 'oldest', origin: 'configuration' })
    const park = Array.from({ length: 1_000 }, (_, index) => parkedEvent(index + 1, `n${index % 10}`))
    await store.advance({ sink, epoch: 0, fence: 1, to: { revision: 1_000, position: 0 }, park })
    expect(await store.progress(sink)).toMatchObject({ parked: 1_000 })
    expect(await store.parkedHeads({ sink, limit: 100 })).toHaveLength(10)
  })
})
