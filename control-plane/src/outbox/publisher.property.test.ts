import fc from 'fast-check'
import { expect, it } from 'vitest'
import { documentChange } from '../../test/support/changes.ts'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { MemoryOutbox } from '../../test/support/memory-outbox.ts'
import { SlowCalls } from '../../test/support/slow-calls.ts'
import { silentLogger } from '../runtime/logger.ts'
import { Publisher } from './publisher.ts'
import { DeliveryError, type Sink } from './sink.ts'

type Step =
  | { readonly do: 'append'; readonly name: string }
  /** `known`: the replica that publishes was the one that was asked. */
  | { readonly do: 'pause' | 'resume'; readonly known: boolean }
  | { readonly do: 'replay'; readonly share: number }
  | { readonly do: 'wake' | 'refuse' | 'repair' }
  | { readonly do: 'wait'; readonly ms: number }

const known = fc.boolean()
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('append' as const), name: fc.constantFrom('a', 'b', 'c') }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pause' as const), known }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('resume' as const), known }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('replay' as const), share: fc.nat(100) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('wake' as const, 'refuse' as const, 'repair' as const) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 3, 10, 30, 1_000) }),
  },
)

/** A publisher whose database and sink take their time. */
class World {
  readonly clock = new ManualClock()
  readonly outbox = new MemoryOutbox()
  readonly publisher: Publisher
  /** In the order of their delivery. */
  readonly received: { readonly id: string; readonly aggregate: string }[] = []
  readonly violations: string[] = []
  refuses = false
  /** What is written from this revision on must not be delivered; while its pause lasts. */
  #forbidden = Infinity
  /** Nothing at all may be delivered. */
  #quiet = false
  readonly #calls: SlowCalls
  readonly #abort = new AbortController()
  readonly #running: Promise<void>

  constructor(latencies: readonly number[]) {
    const { outbox, clock } = this
    this.#calls = new SlowCalls(clock, latencies)
    for (const call of ['read', 'claim', 'advance', 'unpark', 'refused', 'progress', 'parkedOf'] as const) {
      const original = outbox[call].bind(outbox) as (argument: never) => Promise<unknown>
      Object.defineProperty(outbox, call, {
        value: (argument: never) => this.#calls.make(() => original(argument)),
      })
    }
    const sink: Sink = {
      name: 'model',
      kind: 'webhook',
      maxBatch: 3,
      maxBatchBytes: 100_000,
      deliver: async events => {
        const revisions = events.map(({ event }) => Number(event.revision))
        if (Math.max(...revisions) >= this.#forbidden) this.violations.push('written after the pause')
        if (this.#quiet) this.violations.push('begun after the pause was known')
        const refuses = this.refuses
        await this.#calls.make(() => undefined)
        if (refuses) throw new DeliveryError('no', { kind: 'poison' })
        this.received.push(...events.map(({ event }) => ({ id: event.id, aggregate: event.partitionkey })))
      },
      close: () => Promise.resolve(),
    }
    this.publisher = new Publisher({
      ...{ sink, outbox, log: outbox, clock, logger: silentLogger, random: () => 0.5, source: '/waymark' },
      ...{ start: 'oldest', origin: 'configuration', wants: () => true },
      role: {
        state: { owner: 'me', fence: 1, contactAt: 0, report: null },
        owner: 'me',
        run: (signal, work) => work({ fence: 1, signal }),
      },
      ...{
        attempts: 2,
        suspectAfter: 10,
        parkedRetryMs: 86_400_000,
        parkedLimit: 100,
        parkedBytesLimit: 1_000_000,
      },
      ...{ pageChanges: 4, pageBytes: 100_000, pollMs: 1_000, maxBackoffMs: 100, goneRetryMs: 1_000 },
    })
    this.#running = this.publisher.start(this.#abort.signal)
  }

  async run(next: Step): Promise<void> {
    const { outbox, publisher, clock } = this
    const { head } = outbox
    switch (next.do) {
      case 'append': {
        const change = documentChange({ revision: head + 1, name: next.name })
        outbox.sets = [...outbox.sets, { revision: head + 1, changes: [change] }]
        publisher.wake()
        break
      }
      case 'pause':
        outbox.wish({ paused: true })
        this.#forbidden = Math.min(this.#forbidden, head + 1)
        if (next.known) await this.#observed()
        this.#quiet ||= next.known
        break
      case 'resume':
        this.#forbidden = Infinity
        this.#quiet = false
        outbox.wish({ paused: false })
        if (next.known) await this.#observed()
        break
      case 'replay':
        if (outbox.cursor === null) break
        outbox.wish({
          cursor: { revision: Math.floor((outbox.cursor.revision * next.share) / 100), position: 0 },
        })
        break
      case 'wake':
        publisher.wake()
        break
      case 'refuse':
      case 'repair':
        this.refuses = next.do === 'refuse'
        break
      default:
        await clock.advance(next.ms)
    }
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await this.clock.advance(10_000)
    await this.#running
  }

  /** As long as the answer takes, other things happen. */
  async #observed(): Promise<void> {
    const done = new AbortController()
    void this.publisher.observe().then(() => {
      done.abort()
    })
    while (!done.signal.aborted) await this.clock.advance(1)
  }
}

it('delivers nothing that a pause forbids, and everything in order after it, whatever is slow', async () => {
  const latencies = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), latencies, async (steps, slowness) => {
      const world = new World(slowness)
      for (const each of steps) await world.run(each)
      for (const each of ['repair', 'resume'] as const) await world.run({ do: each, known: true })
      await world.clock.advance(30_000)
      expect(world.publisher.status()).toMatchObject({ lag: 0, parked: 0, error: null, paused: null })
      await world.stop()
      expect(world.violations).toEqual([])
      const log = world.outbox.sets.flatMap(({ changes }) => changes)
      const arrived = [...new Set(world.received.map(({ id }) => id))]
      expect(new Set(arrived)).toEqual(new Set(log.map(({ id }) => id)))
      for (const name of ['a', 'b', 'c']) {
        const own = log.filter(({ aggregateId }) => aggregateId === `Service/${name}`).map(({ id }) => id)
        expect(arrived.filter(id => own.includes(id))).toEqual(own)
      }
    }),
    { numRuns: 2_000 },
  )
})
