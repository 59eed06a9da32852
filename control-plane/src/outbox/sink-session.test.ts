import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { documentChange } from '../../test/support/changes.ts'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { MemoryOutbox } from '../../test/support/memory-outbox.ts'
import type { ChangeSet } from '../domain/change.ts'
import { silentLogger } from '../runtime/logger.ts'
import type { EncodedEvent } from './cloud-event.ts'
import { SupersededError } from './delivery.ts'
import { ParkedTurns } from './parked-turns.ts'
import { Reach } from './reach.ts'
import { FencedOffError, SinkSession, type SessionOptions } from './sink-session.ts'
import { DeliveryError, type Sink } from './sink.ts'

type Outcome = 'ok' | 'down' | 'lost answer' | 'half'

/** Takes events as a script says; refuses those of `poison` until they are allowed. */
class ModelSink implements Sink {
  readonly name = 'model'
  readonly kind = 'stdout'
  readonly maxBatch: number
  readonly maxBatchBytes = 1_000_000
  readonly received: EncodedEvent[] = []
  readonly poison = new Set<string>()
  /** Events that make the receiver crash: it looks like being down. */
  readonly crashers = new Set<string>()
  script: Outcome[] = []
  /** Says which event of a delivery was refused, like a webhook with single events. */
  tellsPrefix = true

  constructor(maxBatch: number) {
    this.maxBatch = maxBatch
  }

  deliver(events: readonly EncodedEvent[]): Promise<void> {
    const outcome = this.script.shift() ?? 'ok'
    if (outcome === 'down') return this.#fail('retryable', 0)
    if (events.some(({ event }) => this.crashers.has(event.id))) return this.#fail('retryable', 0)
    const refused = events.findIndex(({ event }) => this.poison.has(event.id))
    if (refused !== -1) {
      const taken = this.tellsPrefix ? refused : 0
      this.received.push(...events.slice(0, taken))
      return this.#fail('poison', taken)
    }
    const half = Math.floor(events.length / 2)
    this.received.push(...(outcome === 'half' ? events.slice(0, half) : events))
    if (outcome === 'half') return this.#fail('retryable', half)
    // The sink has them, but says nothing.
    return outcome === 'lost answer' ? this.#fail('retryable', 0) : Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  /** In the order of their first arrival. */
  firstArrivals(): string[] {
    return [...new Set(this.received.map(({ event }) => event.id))]
  }

  #fail(kind: 'retryable' | 'poison', delivered: number): Promise<never> {
    return Promise.reject(new DeliveryError(kind, { kind, delivered }))
  }
}

const logOf = (writes: readonly (readonly string[])[]): ChangeSet[] =>
  writes.map((names, index) => ({
    revision: index + 1,
    changes: names.map((name, position) => documentChange({ revision: index + 1, position, name })),
  }))

const setUp = ({
  writes,
  maxBatch = 4,
  ...overrides
}: {
  writes: readonly (readonly string[])[]
  maxBatch?: number
} & Partial<SessionOptions>) => {
  const outbox = new MemoryOutbox()
  outbox.sets = logOf(writes)
  const sink = new ModelSink(maxBatch)
  const clock = new ManualClock()
  const options: SessionOptions = {
    sink,
    log: outbox,
    outbox,
    clock,
    logger: silentLogger,
    source: '/waymark',
    start: 'oldest',
    attempts: 2,
    suspectAfter: 4,
    parkedRetryMs: 1_000,
    parkedLimit: 1_000,
    parkedBytesLimit: 1_000_000,
    pageChanges: 3,
    pageBytes: 100_000,
    origin: 'configuration',
    wants: () => true,
    ...overrides,
  }
  const wish = new AbortController()
  const reach = new Reach()
  const open = (fence: number): Promise<SinkSession> =>
    SinkSession.open(options, {
      ownership: { fence, signal: new AbortController().signal },
      wished: wish.signal,
      turns: new ParkedTurns(),
      reach,
    })
  return { outbox, sink, clock, wish, reach, open }
}

/** Steps until there is nothing to do; what fails is tried again. */
const drain = async (session: SinkSession): Promise<void> => {
  for (let step = 0; step < 2_000; step += 1) {
    const outcome = await session.step().catch((error: unknown) => {
      if (error instanceof SupersededError) throw error
      return 'failed' as const
    })
    if (outcome === 'idle') return
  }
  throw new Error('not idle after 2,000 steps')
}

const idsOf = (sets: readonly ChangeSet[], aggregate?: string): string[] =>
  sets
    .flatMap(({ changes }) => changes)
    .filter(({ aggregateId }) => aggregate === undefined || aggregateId === aggregate)
    .map(({ id }) => id)

const names = ['a', 'b', 'c', 'd']
const history = fc.array(fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 12,
})
const outcomes = fc.array(fc.constantFrom<Outcome>('ok', 'down', 'lost answer', 'half'), { maxLength: 30 })

describe('delivery to a sink', () => {
  it('misses nothing and keeps the order of each aggregate, through failures, refusals and new owners', async () => {
    await fc.assert(
      fc.asyncProperty(
        history,
        outcomes,
        fc.array(fc.nat(), { maxLength: 4 }),
        fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 5 }),
        fc.integer({ min: 1, max: 5 }),
        fc.boolean(),
        async (writes, script, refused, reigns, maxBatch, tellsPrefix) => {
          const { outbox, sink, clock, open } = setUp({ writes, maxBatch })
          const all = idsOf(outbox.sets)
          for (const pick of refused) sink.poison.add(all[pick % all.length] ?? '')
          sink.script = script
          sink.tellsPrefix = tellsPrefix
          let fence = 1
          let session = await open(fence)
          for (const steps of reigns) {
            for (let step = 0; step < steps; step += 1) await session.step().catch(() => undefined)
            // The owner is gone, or only thinks that it is still the owner.
            const former = session
            fence += 1
            session = await open(fence)
            const { cursor } = outbox
            await former.step().catch(() => undefined)
            expect(outbox.cursor).toEqual(cursor)
          }
          await drain(session)
          // Everything was delivered or is parked, and nothing was overtaken within its aggregate.
          const parked = outbox.parked.map(({ id }) => id)
          expect(outbox.cursor).toEqual({ revision: writes.length, position: 0 })
          expect(new Set([...sink.firstArrivals(), ...parked])).toEqual(new Set(all))
          for (const id of sink.poison) expect(parked).toContain(id)
          // The receiver is repaired: the parked ones follow.
          sink.poison.clear()
          sink.script = []
          await clock.advance(1_000)
          await drain(session)
          expect(outbox.parked).toEqual([])
          const arrivals = sink.firstArrivals()
          for (const name of names) {
            const own = new Set(idsOf(outbox.sets, `Service/${name}`))
            expect(arrivals.filter(id => own.has(id))).toEqual([...own])
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  it('stops for ever at no event that breaks the sink, whenever others come', async () => {
    await fc.assert(
      fc.asyncProperty(
        history,
        fc.array(fc.nat(), { minLength: 1, maxLength: 6 }),
        fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 12 }),
        fc.integer({ min: 1, max: 5 }),
        async (writes, broken, steps, maxBatch) => {
          const { outbox, sink, clock, open } = setUp({ writes: [...writes, ['z']], maxBatch })
          const { sets } = outbox
          const all = idsOf(sets)
          for (const pick of broken) sink.crashers.add(all[pick % (all.length - 1)] ?? '')
          const session = await open(1)
          for (const [index, count] of steps.entries()) {
            outbox.sets = sets.slice(0, index)
            for (let step = 0; step < count; step += 1) await session.step().catch(() => undefined)
          }
          outbox.sets = sets
          await drain(session)
          const parked = outbox.parked.map(({ id }) => id)
          for (const id of sink.crashers) expect(parked).toContain(id)
          expect(new Set([...sink.firstArrivals(), ...parked])).toEqual(new Set(all))
          // The receiver is repaired for all but one: it gets the others within a few runs.
          const [left = ''] = sink.crashers
          const aggregate = outbox.parked.find(({ id }) => id === left)?.aggregateId ?? ''
          sink.crashers.clear()
          sink.crashers.add(left)
          for (let run = 0; run < 3; run += 1) {
            await clock.advance(1_000)
            await drain(session)
          }
          expect(new Set(outbox.parked.map(({ aggregateId }) => aggregateId))).toEqual(new Set([aggregate]))
          const arrivals = sink.firstArrivals()
          for (const name of names.filter(each => `Service/${each}` !== aggregate)) {
            const own = new Set(idsOf(outbox.sets, `Service/${name}`))
            expect(arrivals.filter(id => own.has(id))).toEqual([...own])
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  it('delivers each event once when nothing fails', async () => {
    const { outbox, sink, open } = setUp({ writes: [['a', 'b'], ['c'], ['a'], ['b', 'c', 'd'], ['a']] })
    await drain(await open(1))
    expect(sink.received.map(({ event }) => event.id)).toEqual(idsOf(outbox.sets))
  })

  it('ends for an owner that has been followed by another', async () => {
    const { outbox, open } = setUp({ writes: [['a'], ['b']] })
    const former = await open(1)
    await open(2)
    await expect(former.step()).rejects.toBeInstanceOf(SupersededError)
    expect(outbox.cursor).toEqual({ revision: 0, position: 0 })
  })

  it('refuses to open for an owner that has been followed by another', async () => {
    const { open } = setUp({ writes: [['a']] })
    await open(2)
    await expect(open(1)).rejects.toBeInstanceOf(FencedOffError)
  })
})

describe('a refused event', () => {
  it('is parked with its error after the last attempt, and only its aggregate waits behind it', async () => {
    const { outbox, sink, open } = setUp({ writes: [['a'], ['b'], ['a'], ['b'], ['c']] })
    sink.poison.add(idsOf(outbox.sets)[0] ?? '')
    await drain(await open(1))
    const [first, second] = idsOf(outbox.sets, 'Service/a')
    expect(outbox.parked).toMatchObject([
      { id: first, error: 'poison', attempts: 2, aggregateId: 'Service/a', revision: 1, position: 0 },
      { id: second, error: 'an earlier event of this aggregate is parked', attempts: 0, revision: 3 },
    ])
    const others = [...idsOf(outbox.sets, 'Service/b'), ...idsOf(outbox.sets, 'Service/c')].sort()
    expect(sink.firstArrivals().sort()).toEqual(others)
  })

  it('is found out also when it looks as if the sink were down', async () => {
    for (const maxBatch of [1, 4]) {
      const { outbox, sink, clock, open } = setUp({ writes: [['a'], ['b'], ['a'], ['c'], ['b']], maxBatch })
      const [first, , second] = idsOf(outbox.sets)
      sink.crashers.add(first ?? '')
      const session = await open(1)
      await drain(session)
      expect(outbox.parked.map(({ id }) => id)).toEqual([first, second])
      expect(outbox.parked[0]?.error).toBe('retryable')
      expect(new Set(sink.firstArrivals())).toEqual(
        new Set([...idsOf(outbox.sets, 'Service/b'), ...idsOf(outbox.sets, 'Service/c')]),
      )
      sink.crashers.clear()
      await clock.advance(1_000)
      await drain(session)
      expect(outbox.parked).toEqual([])
      expect(sink.firstArrivals().filter(id => id === first || id === second)).toEqual([first, second])
    }
  })

  it('is found out by what comes after it, when it came alone', async () => {
    const { outbox, sink, open } = setUp({ writes: [['a']] })
    const [culprit] = idsOf(outbox.sets)
    sink.crashers.add(culprit ?? '')
    const session = await open(1)
    await expect(drain(session)).rejects.toThrow('not idle')
    outbox.sets = logOf([['a'], ['a'], ['a'], ['a'], ['b'], ['a']])
    await drain(session)
    expect(outbox.parked.map(({ aggregateId }) => aggregateId)).toEqual(Array(5).fill('Service/a'))
    expect(sink.firstArrivals()).toEqual(idsOf(outbox.sets, 'Service/b'))
  })

  it('is found out beside others like it, one after the other', async () => {
    const { outbox, sink, open } = setUp({ writes: [['a'], ['b'], ['c'], ['d'], ['e'], ['d']] })
    const all = idsOf(outbox.sets)
    for (const id of all.slice(0, 3)) sink.crashers.add(id)
    await drain(await open(1))
    expect(outbox.parked.map(({ id }) => id)).toEqual(all.slice(0, 3))
    // An early delivery changes no order.
    expect(sink.firstArrivals()).toEqual(all.slice(3))
  })

  it('is not looked for in a sink that is down, or when there is nothing to compare it with', async () => {
    const down = setUp({ writes: [['a'], ['b'], ['c']] })
    down.sink.script = Array.from({ length: 200 }, () => 'down' as const)
    const alone = setUp({ writes: [['a'], ['a']] })
    alone.sink.crashers.add(idsOf(alone.outbox.sets)[0] ?? '')
    for (const { outbox, open } of [down, alone]) {
      const session = await open(1)
      for (let step = 0; step < 40; step += 1) await session.step().catch(() => undefined)
      expect(outbox.parked).toEqual([])
      expect(outbox.cursor).toEqual({ revision: 0, position: 0 })
    }
  })

  it('is not looked for where it would go, which is not there', async () => {
    const { outbox, sink, open } = setUp({ writes: [['a'], ['b'], ['c']] })
    const [first] = idsOf(outbox.sets)
    const deliver = sink.deliver.bind(sink)
    let there = false
    sink.deliver = events =>
      !there && events.some(({ event }) => event.id === first)
        ? Promise.reject(new DeliveryError('no topic', { kind: 'unready' }))
        : deliver(events)
    const session = await open(1)
    for (let step = 0; step < 40; step += 1) await expect(session.step()).rejects.toThrow('no topic')
    expect(outbox.parked).toEqual([])
    expect(sink.received).toEqual([])
    there = true
    await drain(session)
    expect(sink.received.map(({ event }) => event.id)).toEqual(idsOf(outbox.sets))
  })

  it('is counted when a later attempt is refused too', async () => {
    const { outbox, sink, clock, open } = setUp({ writes: [['a'], ['b']] })
    sink.poison.add(idsOf(outbox.sets)[0] ?? '')
    const session = await open(1)
    await drain(session)
    await clock.advance(1_000)
    await drain(session)
    expect(outbox.parked).toMatchObject([{ attempts: 3 }])
  })

  it('that breaks the sink keeps no other one from being delivered after all', async () => {
    const { outbox, sink, clock, open } = setUp({ writes: [['a'], ['b'], ['c'], ['d'], ['e'], ['f'], ['g']] })
    const all = idsOf(outbox.sets)
    for (const id of all.slice(0, 5)) sink.crashers.add(id)
    const session = await open(1)
    await drain(session)
    expect(outbox.parked).toHaveLength(5)
    for (const id of all.slice(0, 2)) sink.crashers.delete(id)
    outbox.sets = [...outbox.sets, { revision: 8, changes: [documentChange({ revision: 8, name: 'a' })] }]
    // Those tried least come first: three that fail, as if the sink were down.
    await clock.advance(1_000)
    await expect(session.step()).rejects.toThrow('retryable')
    expect(outbox.parked).toHaveLength(5)
    await clock.advance(1_000)
    await drain(session)
    expect(outbox.parked.map(({ id }) => id)).toEqual(all.slice(2, 5))
    expect(new Set(sink.firstArrivals())).toEqual(
      new Set([...all.slice(0, 2), ...idsOf(outbox.sets).slice(5)]),
    )
  })

  it('holds nothing back any more when a run that delivered it failed after that', async () => {
    const { outbox, sink, clock, open } = setUp({ writes: [['a'], ['b'], ['c'], ['d'], ['e']] })
    const all = idsOf(outbox.sets)
    for (const id of all.slice(0, 4)) sink.crashers.add(id)
    const session = await open(1)
    await drain(session)
    sink.crashers.delete(all[3] ?? '')
    await clock.advance(1_000)
    await expect(session.step()).rejects.toThrow('retryable')
    expect(session.parked).toBe(3)
    outbox.sets = [...outbox.sets, { revision: 6, changes: [documentChange({ revision: 6, name: 'd' })] }]
    await drain(session)
    expect(outbox.parked.map(({ id }) => id)).toEqual(all.slice(0, 3))
  })

  it('is tried by a new owner at once, and again when the database failed meanwhile', async () => {
    const { outbox, sink, open } = setUp({ writes: [['a'], ['b']], parkedRetryMs: 1_000_000 })
    sink.poison.add(idsOf(outbox.sets)[0] ?? '')
    await drain(await open(1))
    expect(outbox.parked).toMatchObject([{ attempts: 2 }])
    const session = await open(2)
    const parkedHeads = outbox.parkedHeads.bind(outbox)
    outbox.parkedHeads = () => Promise.reject(new Error('the database is down'))
    await expect(session.step()).rejects.toThrow('the database is down')
    outbox.parkedHeads = parkedHeads
    await drain(session)
    expect(outbox.parked).toMatchObject([{ attempts: 3 }])
    sink.poison.clear()
    await drain(session)
    expect(outbox.parked).toMatchObject([{ attempts: 3 }])
    await drain(await open(3))
    expect(outbox.parked).toEqual([])
  })

  it('holds back the later ones of its aggregate for as long as it is refused', async () => {
    const { outbox, sink, clock, open } = setUp({ writes: [['a'], ['a'], ['b']] })
    const [first, second, other] = idsOf(outbox.sets)
    sink.poison.add(first ?? '')
    const session = await open(1)
    await drain(session)
    await clock.advance(1_000)
    await drain(session)
    expect(outbox.parked.map(({ id }) => id)).toEqual([first, second])
    expect(sink.firstArrivals()).toEqual([other])
  })

  it('is forgotten when an operator removes it', async () => {
    const { outbox, sink, clock, open } = setUp({ writes: [['a'], ['a']] })
    const [first, second] = idsOf(outbox.sets)
    sink.poison.add(first ?? '')
    const session = await open(1)
    await drain(session)
    await outbox.unpark({ sink: 'model', fence: 1, epoch: 0, id: first ?? '' })
    await clock.advance(1_000)
    await drain(session)
    expect(outbox.parked).toEqual([])
    expect(sink.firstArrivals()).toEqual([second])
  })

  it.each([
    [{ parkedLimit: 2 }, '2 events are parked, the limit is 2: delivery waits'],
    [{ parkedBytesLimit: 1_100 }, /^\d+ bytes of events are parked, the limit is 1100: delivery waits$/],
  ])('makes the sink wait, not lose, when too many are parked: %j', async (limit, words) => {
    const { outbox, sink, clock, open } = setUp({ writes: [['a'], ['b'], ['c'], ['d']], ...limit })
    for (const id of idsOf(outbox.sets).slice(0, 3)) sink.poison.add(id)
    const session = await open(1)
    await expect(drain(session)).rejects.toThrow('not idle')
    expect(outbox.parked).toHaveLength(2)
    await expect(session.step()).rejects.toThrow(words)
    sink.poison.clear()
    await clock.advance(1_000)
    await drain(session)
    expect(outbox.parked).toEqual([])
    expect(new Set(sink.firstArrivals())).toEqual(new Set(idsOf(outbox.sets)))
  })
})

describe('where delivery begins', () => {
  it('is the oldest change kept, or the next one', async () => {
    const { outbox, sink, open } = setUp({ writes: [['a'], ['b'], ['c']] })
    outbox.oldest = 2
    await drain(await open(1))
    expect(sink.firstArrivals()).toEqual(idsOf(outbox.sets).slice(1))

    const late = setUp({ writes: [['a'], ['b']], start: 'now' })
    const session = await late.open(1)
    await drain(session)
    expect(late.sink.received).toEqual([])
    late.outbox.sets = logOf([['a'], ['b'], ['c']])
    await drain(session)
    expect(late.sink.firstArrivals()).toEqual(idsOf(late.outbox.sets).slice(2))
  })

  it('is after the gap, which the sink is told of, when the log does not continue', async () => {
    const { outbox, sink, open } = setUp({ writes: [['a']] })
    const session = await open(1)
    await drain(session)
    outbox.sets = logOf([['a'], ['b'], ['c'], ['d']])
    outbox.oldest = 3
    await drain(session)
    expect(sink.received.map(({ event }) => [event.type, event.revision])).toEqual([
      ['io.waymark.document.applied', '1'],
      ['io.waymark.log.discontinued', '2'],
      ['io.waymark.document.applied', '3'],
      ['io.waymark.document.applied', '4'],
    ])
    // A database restored from a backup: its log ends before the cursor.
    outbox.sets = logOf([['a']])
    outbox.oldest = 1
    await drain(session)
    outbox.sets = logOf([['a'], ['c']])
    await drain(session)
    expect(sink.received.slice(4).map(({ event }) => [event.type, event.revision])).toEqual([
      ['io.waymark.log.discontinued', '1'],
      ['io.waymark.document.applied', '2'],
    ])
  })
})

describe('a database that was restored while nobody had the role', () => {
  const restored = async () => {
    const world = setUp({ writes: [['a'], ['b'], ['c'], ['d'], ['e']] })
    const { outbox, sink, open, reach } = world
    await drain(await open(7))
    reach.observe(await outbox.progress())
    sink.received.length = 0
    // The cursor of the backup is not beyond its log.
    outbox.sets = logOf([['a'], ['b'], ['c']])
    outbox.wish({ cursor: { revision: 2, position: 0 } })
    outbox.restore({ epoch: 0, fence: 1, paused: false })
    return world
  }
  const told = [
    ['io.waymark.log.discontinued', '2'],
    ['io.waymark.document.applied', '3'],
    ['io.waymark.document.applied', '4'],
  ]

  it('is told to the sink once, then comes what the backup has after its cursor', async () => {
    const { outbox, sink, open } = await restored()
    await drain(await open(2))
    outbox.sets = logOf([['a'], ['b'], ['c'], ['x']])
    await drain(await open(3))
    expect(sink.received.map(({ event }) => [event.type, event.revision])).toEqual(told)
    expect((await outbox.progress()).gap).toMatchObject({
      deliveredTo: 5,
      resumesAfter: 2,
      reason: 'restored',
    })
  })

  it('is not told again by a replica that sees that it was', async () => {
    const { outbox, sink, open, reach } = await restored()
    const other = new Reach()
    other.delivered({ revision: 5, position: 0 })
    await drain(await open(2))
    other.observe(await outbox.progress())
    expect(other.revision).toBe(3)
    outbox.sets = logOf([['a'], ['b'], ['c'], ['x']])
    reach.observe(await outbox.progress())
    await drain(await open(3))
    expect(reach.revision).toBe(4)
    expect(sink.received.map(({ event }) => [event.type, event.revision])).toEqual(told)
  })
})

describe('what operators ask for', () => {
  it('is never written over: a session of an earlier epoch moves nothing any more', async () => {
    const { outbox, open } = setUp({ writes: [['a'], ['b'], ['c']] })
    const session = await open(1)
    await drain(session)
    outbox.wish({ cursor: { revision: 0, position: 0 } })
    outbox.sets = logOf([['a'], ['b'], ['c'], ['d']])
    await expect(session.step()).rejects.toBeInstanceOf(SupersededError)
    expect(outbox.cursor).toEqual({ revision: 0, position: 0 })
  })

  it('is a replay: the same events again, with the same ids', async () => {
    const { outbox, sink, open } = setUp({ writes: [['a'], ['b'], ['a']] })
    await drain(await open(1))
    outbox.wish({ cursor: { revision: 1, position: 0 } })
    await drain(await open(1))
    const all = idsOf(outbox.sets)
    expect(sink.received.map(({ event }) => event.id)).toEqual([...all, ...all.slice(1)])
  })

  it('goes before what is written after it, which no replica delivers in the old epoch', async () => {
    const { outbox, sink, open } = setUp({ writes: [['a']] })
    const session = await open(1)
    await drain(session)
    outbox.wish({ paused: true })
    outbox.sets = logOf([['a'], ['b']])
    await expect(session.step()).rejects.toBeInstanceOf(SupersededError)
    expect(sink.received).toHaveLength(1)
  })

  it('ends the session as soon as its replica knows, also while it reads a page', async () => {
    const { outbox, sink, wish, open } = setUp({ writes: [['a'], ['b']] })
    const reading = Promise.withResolvers<undefined>()
    const read = outbox.read.bind(outbox)
    outbox.read = async request => {
      const page = await read(request)
      await reading.promise
      return page
    }
    const session = await open(1)
    const step = session.step()
    wish.abort()
    reading.resolve(undefined)
    await expect(step).rejects.toBeInstanceOf(SupersededError)
    await expect(session.step()).rejects.toBeInstanceOf(SupersededError)
    expect(sink.received).toEqual([])
  })

  it('ends a run over parked events, on this replica and on another', async () => {
    for (const known of [true, false]) {
      const { outbox, sink, clock, wish, open } = setUp({ writes: [['a', 'b', 'c']] })
      for (const id of idsOf(outbox.sets)) sink.poison.add(id)
      const session = await open(1)
      await drain(session)
      sink.poison.clear()
      const deliver = sink.deliver.bind(sink)
      sink.deliver = async events => {
        await deliver(events)
        outbox.wish({ paused: true })
        if (known) wish.abort()
      }
      await clock.advance(1_000)
      await expect(session.step()).rejects.toBeInstanceOf(SupersededError)
      // The delivery under way ended as it would.
      expect(sink.received).toHaveLength(1)
      expect(outbox.parked).toHaveLength(3)
    }
  })

  it('is a pause: nothing is delivered and nothing tried', async () => {
    const { outbox, sink, open } = setUp({ writes: [['a'], ['b']] })
    outbox.wish({ paused: true })
    const session = await open(1)
    expect(session.paused).toBe(true)
    expect(await session.step()).toBe('idle')
    expect(sink.received).toEqual([])
  })
})

describe('a filter', () => {
  it('leaves out what is not wanted, and the cursor passes it', async () => {
    const { outbox, sink, open } = setUp({
      writes: [['a'], ['b'], ['a', 'b'], ['b']],
      wants: ({ aggregateId }) => aggregateId === 'Service/a',
    })
    await drain(await open(1))
    expect(sink.received.map(({ event }) => event.subject)).toEqual(['Service/a', 'Service/a'])
    expect(outbox.cursor).toEqual({ revision: 4, position: 0 })
  })
})
