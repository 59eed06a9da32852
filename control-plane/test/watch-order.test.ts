import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { WaymarkError } from '../src/domain/errors.ts'
import { CompactedError, type Revision } from '../src/domain/revision.ts'
import { Feed } from '../src/feed/feed.ts'
import { MeshState } from '../src/mesh/mesh-state.ts'
import type { Clock } from '../src/runtime/clock.ts'
import { silentLogger } from '../src/runtime/logger.ts'
import { ReadGate } from '../src/rest/read-gate.ts'
import { defaultLimits } from '../src/rest/limits.ts'
import { Turns } from '../src/rest/turns.ts'
import type { EventWriter } from '../src/rest/watch/event-stream.ts'
import { WatchHub } from '../src/rest/watch/watch-hub.ts'
import { ManualClock } from './support/manual-clock.ts'
import { ModelLog } from './support/model-log.ts'
import { SlowCalls } from './support/slow-calls.ts'

const names = ['a', 'b', 'c'] as const
const readers = 4
const stallMs = 2_000
const reader = fc.nat(readers - 1)

const step = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('write'),
      name: fc.constantFrom(...names),
      /** Whether this replica commits it. */
      own: fc.boolean(),
      times: fc.constantFrom(1, 1, 2, 9),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('watch'),
      reader,
      services: fc.constantFrom(null, ['a'], ['a', 'b']),
      /** Revisions before the present, for who has seen none yet. */
      back: fc.nat(12),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('stall', 'read', 'leave'), reader }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('cut', 'outage', 'recovery') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compact'), keep: fc.nat(10) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose'), count: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('wait'), ms: fc.constantFrom(1, 3, 10, 30, 700) }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** One stream, and what its reader has made of it. */
class ModelStream implements EventWriter {
  ended = false
  readonly revisions: Revision[] = []
  compacted = false
  /** Events written, in spite of a full socket, until somebody waited for room. */
  longestBacklog = 0
  lastEventId: Revision
  readonly #clock: ManualClock
  /** null: now. */
  #hasRoom: PromiseWithResolvers<boolean> | null = null
  #backlog = 0

  constructor(clock: ManualClock, after: Revision) {
    this.#clock = clock
    this.lastEventId = after
  }

  write(bytes: Buffer): boolean {
    if (this.ended) return true
    const [, id, event] = /^(?:: alive\n)?id: (\d+)\n(?:event: (\w+)\n)?/.exec(bytes.toString()) ?? []
    this.lastEventId = Number(id)
    if (event === 'change') this.revisions.push(this.lastEventId)
    if (event === 'compacted') this.compacted = true
    if (this.#hasRoom === null) return true
    this.#backlog += 1
    this.longestBacklog = Math.max(this.longestBacklog, this.#backlog)
    return false
  }

  async drained(ms: number): Promise<boolean> {
    this.#backlog = 0
    if (this.ended) return false
    if (this.#hasRoom === null) return true
    const waited = new AbortController()
    const late = this.#clock.sleep(ms, waited.signal).then(() => false)
    const inTime = await Promise.race([this.#hasRoom.promise, late])
    waited.abort()
    return inTime
  }

  stall(): void {
    this.#hasRoom ??= Promise.withResolvers()
  }

  read(): void {
    this.#hasRoom?.resolve(true)
    this.#hasRoom = null
  }

  end(): void {
    this.ended = true
    this.#hasRoom?.resolve(false)
  }

  destroy(): void {
    this.end()
  }
}

interface Reading {
  readonly stream: ModelStream
  readonly after: Revision
  readonly services: readonly string[] | null
  readonly gone: AbortController
  /** It had been shown what the log has lost. */
  misled: boolean
}

/** One replica: its feed, its mesh state, and those who watch it. */
class World {
  readonly clock = new ManualClock()
  readonly log: ModelLog
  readonly mesh = new MeshState()
  readonly readings: Reading[] = []
  /** Of the feed. */
  readonly warnings: object[] = []
  readonly #calls: SlowCalls
  readonly #feed: Feed
  readonly #gate: ReadGate
  readonly #hub: WatchHub
  /** By reader. */
  readonly #current = new Map<number, Reading>()
  readonly #opening = new Set<number>()
  readonly #abort = new AbortController()
  readonly #running: Promise<void>

  constructor(latencies: readonly number[]) {
    const { clock, mesh } = this
    // A later turn of the event loop comes when all else has had its own.
    const busy: Clock = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      timer: (ms, run) => clock.timer(ms, run),
      sleep: (ms, signal) => clock.sleep(ms, signal),
      soon: run => void this.#calls.way().then(run),
    }
    this.#calls = new SlowCalls(clock, latencies)
    this.log = new ModelLog(this.#calls)
    const common = { clock, logger: silentLogger }
    this.#feed = new Feed({
      clock,
      logger: { ...silentLogger, warn: fields => this.warnings.push(fields) },
      log: this.log,
      follower: mesh,
      random: () => 0.5,
      // Nothing may wait for it.
      pollMs: 86_400_000,
      ownBackend: () => null,
      ownConnections: () => this.log.losses,
    })
    const limits = {
      ...defaultLimits,
      ...{ watchPage: 3, watchHeartbeatMs: 900, watchStallMs: stallMs, watchRetryMs: 100 },
    }
    const turns = new Turns({ clock: busy, stepsPerTurn: 2 })
    this.#gate = new ReadGate({ mesh, past: this.log, clock, turns, limits })
    this.#hub = new WatchHub({ ...common, mesh, changes: this.log, turns, limits })
    this.#running = this.#feed.start(this.#abort.signal)
  }

  async run(next: Step): Promise<void> {
    const { log, clock } = this
    switch (next.do) {
      case 'write':
        for (let left = next.times; left > 0; left -= 1) {
          const set = log.write(next.name)
          const { losses } = log
          if (next.own)
            void this.#calls.way().then(() => {
              if (losses === log.losses) this.#feed.offer([set])
            })
          else void log.tell()
        }
        break
      case 'watch':
        void this.#watch(next)
        break
      case 'leave':
        this.#current.get(next.reader)?.gone.abort()
        break
      case 'stall':
      case 'read':
        this.#current.get(next.reader)?.stream[next.do]()
        break
      case 'cut':
        log.cut()
        break
      case 'outage':
      case 'recovery':
        log.away = next.do === 'outage'
        if (log.away) log.cut()
        break
      case 'lose':
        log.lose(next.count)
        for (const reading of this.readings) reading.misled ||= reading.stream.lastEventId > log.head
        break
      case 'compact':
        log.oldest = Math.max(log.oldest, log.head - next.keep)
        break
      default:
        await clock.advance(next.ms)
    }
  }

  /** Everybody reads what is left. */
  async settle(): Promise<void> {
    this.log.away = false
    for (const { stream } of this.readings) stream.read()
    await this.clock.advance(10_000)
  }

  async stop(): Promise<void> {
    this.#gate.close()
    this.#hub.close()
    this.#abort.abort()
    await this.clock.advance(10_000)
    await this.#running
  }

  get open(): number {
    return this.#hub.counts().open
  }

  async #watch({
    reader,
    services,
    back,
  }: {
    readonly reader: number
    readonly services: readonly string[] | null
    readonly back: number
  }): Promise<void> {
    const before = this.#current.get(reader)
    const isAlive = before !== undefined && !before.stream.ended && !before.gone.signal.aborted
    if (!this.mesh.loaded || isAlive || this.#opening.has(reader)) return
    // A reader resumes where its last stream ended.
    const after = before?.stream.lastEventId ?? Math.max(0, this.mesh.revision - back)
    this.#opening.add(reader)
    const response = new ServerResponse(new IncomingMessage(new Socket()))
    try {
      const filter = { services: services === null ? null : new Set(services), kinds: null }
      await this.#gate.reachIndex({ index: after, waitMs: 5_000, response })
      const watch = await this.#hub.open({ filter, after })
      const gone = new AbortController()
      const stream = new ModelStream(this.clock, after)
      const reading = { stream, after, services, gone, misled: false }
      this.#current.set(reader, reading)
      this.readings.push(reading)
      await watch.run(reading.stream, gone.signal)
    } catch (error) {
      if (error instanceof CompactedError) this.#current.delete(reader)
      else if (!(error instanceof WaymarkError)) throw error
    } finally {
      this.#opening.delete(reader)
    }
  }
}

/** A reader that is far behind stops reading while the log is away. */
const stalledInAnOutage: Step[] = [
  { do: 'watch', reader: 0, services: null, back: 0 },
  { do: 'write', name: 'a', own: true, times: 1 },
  { do: 'wait', ms: 30 },
  { do: 'stall', reader: 0 },
  ...Array.from({ length: 5 }, () => ({ do: 'write', name: 'a', own: true, times: 9 }) as const),
  { do: 'wait', ms: 700 },
  { do: 'outage' },
  { do: 'read', reader: 0 },
  { do: 'wait', ms: 30 },
  { do: 'stall', reader: 0 },
  ...Array.from({ length: 6 }, () => ({ do: 'wait', ms: 700 }) as const),
]

/** The log loses its end and grows again while it is read, and a commit from before is applied meanwhile. */
const offeredMeanwhile: Step[] = [
  { do: 'write', name: 'a', own: true, times: 2 },
  { do: 'wait', ms: 10 },
  { do: 'lose', count: 2 },
  { do: 'write', name: 'b', own: false, times: 9 },
]

/** A reader stops reading at what the log is about to lose, which is rewritten before it goes on. */
const stalledInALoss: Step[] = [
  { do: 'write', name: 'a', own: false, times: 9 },
  { do: 'wait', ms: 10 },
  { do: 'watch', reader: 0, services: ['a'], back: 4 },
  { do: 'lose', count: 1 },
  { do: 'stall', reader: 0 },
  { do: 'write', name: 'c', own: true, times: 1 },
  { do: 'wait', ms: 10 },
]

/** A replica still has what the log has lost when somebody begins to watch who needs the log. */
const askedTooEarly: Step[] = [
  { do: 'write', name: 'a', own: false, times: 1 },
  { do: 'wait', ms: 10 },
  { do: 'lose', count: 1 },
  { do: 'write', name: 'b', own: false, times: 1 },
  { do: 'wait', ms: 700 },
  { do: 'lose', count: 1 },
  { do: 'watch', reader: 0, services: null, back: 1 },
  { do: 'wait', ms: 700 },
]

it('shows every watcher each of its revisions once and in order, whatever is slow or away', async () => {
  const latencies = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), latencies, async (steps, slowness) => {
      const world = new World(slowness)
      await world.clock.advance(100)
      for (const each of steps) await world.run(each)
      await world.settle()
      const { log, mesh, readings } = world
      expect(mesh.revision).toBe(log.head)
      for (const warning of world.warnings) expect(warning).toEqual({ error: 'WaymarkError: away' })
      expect(mesh.snapshot()).toEqual(log.snapshot())
      for (const { stream, after, services, gone, misled } of readings) {
        const alive = !stream.ended && !gone.signal.aborted
        expect(stream.longestBacklog).toBeLessThan(3)
        if (misled) expect(alive).toBe(false)
        // Who has ended reads anew, or has left.
        if (!alive && log.losses > 0) continue
        if (stream.compacted) expect(stream.lastEventId + 1).toBeLessThan(log.oldest)
        // A quiet stream moves its Last-Event-ID on.
        if (alive) expect(stream.lastEventId).toBe(log.head)
        const expected = log.sets
          .slice(after, stream.lastEventId)
          .filter(({ changes }) =>
            changes.some(change => services?.includes(change.aggregateId.slice(8)) ?? true),
          )
          .map(({ revision }) => revision)
        expect(stream.revisions).toEqual(expected)
      }
      expect(world.open).toBe(readings.filter(({ stream }) => !stream.ended).length)
      await world.stop()
      expect(world.open).toBe(0)
    }),
    {
      numRuns: 1_000,
      examples: [
        [stalledInAnOutage, [1]],
        [offeredMeanwhile, [1, 10]],
        [stalledInALoss, [0]],
        [askedTooEarly, [0]],
      ],
    },
  )
})
