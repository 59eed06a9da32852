import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { systemClock } from '../../runtime/clock.ts'
import { RevisionJournal, RevisionRecord } from '../acks/revision-journal.ts'
import { StreamMark } from '../acks/stream-mark.ts'
import { XdsCounters } from '../counters.ts'
import { FanOut } from './fan-out.ts'
import type { HeldStep } from './held-step.ts'
import { PushSteps } from './push-steps.ts'
import type { Subscriber } from './subscriber.ts'
import { SubscribersByName } from './subscribers.ts'

const names = ['a', 'b'] as const
type Name = (typeof names)[number]

/** Names with versions, and streams that send what has changed since they last sent it. */
class World {
  readonly turns: (() => void)[] = []
  readonly fanOut = new FanOut<Stream>({ ...systemClock, soon: run => this.turns.push(run) })
  readonly journal = new RevisionJournal({ head: 0 })
  readonly steps = new PushSteps({ head: 0, counters: new XdsCounters(), clock: systemClock })
  readonly index = new SubscribersByName({ announcer: this.fanOut })
  readonly versions = new Map<Name, number>(names.map(name => [name, 0]))
  readonly streams: readonly Stream[]
  held = 0
  ended = 0
  revision = 0

  constructor(streams: number) {
    this.streams = Array.from({ length: streams }, (_, id) => new Stream(id, this))
  }

  change(changed: readonly Name[]): void {
    this.revision += 1
    for (const name of changed) {
      this.versions.set(name, this.revision)
      this.index.touch(name, this.revision)
    }
    this.steps.release(this.revision, undefined)
    this.fanOut.release()
    this.journal.close(this.revision)
  }

  turn(): void {
    this.turns.shift()?.()
  }
}

class Stream implements Subscriber {
  readonly id: number
  readonly mark: StreamMark
  readonly subscribed = new Set<Name>()
  readonly changed = new Set<Name>()
  readonly has = new Map<Name, number>()
  readonly #world: World

  constructor(id: number, world: World) {
    this.id = id
    this.#world = world
    this.mark = new StreamMark({ node: String(id), deliveries: () => [] })
  }

  touch(name: Name, _: number, held?: HeldStep): void {
    const { fanOut, journal } = this.#world
    if (held === undefined) {
      fanOut.catchUp(this)
      fanOut.touch(this)
      journal.touch(this.mark, 't', name)
    } else {
      fanOut.queue(this)
      journal.touchLater(this.mark, held.record)
    }
    this.changed.add(name)
  }

  hold(name: string, count: number): HeldStep {
    const world = this.#world
    world.held += 1
    const record = world.journal.hold({ typeUrl: 't', name, count, later: world.fanOut })
    const end = (): void => {
      world.ended += 1
    }
    return { step: world.steps.of('t').current, record, end }
  }

  flush(): void {
    this.#world.fanOut.catchUp(this)
    this.#world.fanOut.flushed(this)
    for (const name of this.changed) {
      if (this.subscribed.has(name)) this.#send(name)
    }
    this.changed.clear()
  }

  subscribe(name: Name): void {
    this.#world.fanOut.catchUp(this)
    if (this.subscribed.has(name)) return
    this.subscribed.add(name)
    this.#world.index.add(name, this)
    this.#send(name)
  }

  unsubscribe(name: Name): void {
    this.#world.fanOut.catchUp(this)
    this.subscribed.delete(name)
    this.#world.index.remove(name, this)
    this.has.delete(name)
    this.changed.delete(name)
  }

  /** What anybody who looks at it must find: the current version, or that it is not up to date. */
  check(): void {
    this.#world.fanOut.catchUp(this)
    for (const name of this.subscribed) {
      const current = this.#world.versions.get(name)
      expect(this.changed.has(name) || this.has.get(name) === current).toBe(true)
    }
  }

  #send(name: Name): void {
    const version = this.#world.versions.get(name) ?? 0
    // Nothing is sent twice: as in a session, what it has is compared first.
    if (this.has.get(name) === version) return
    this.has.set(name, version)
  }
}

const many = 400

test('the first streams are flushed before the last are told, and the next change begins with others', () => {
  const world = new World(many)
  for (const stream of world.streams) stream.subscribe('a')
  world.change(['a'])
  const upToDate = () =>
    world.streams.filter(({ has }) => has.get('a') === world.revision).map(({ id }) => id)
  expect(upToDate()).toEqual(Array.from({ length: 64 }, (_, id) => id))
  expect(world.streams.filter(({ changed }) => changed.size > 0)).toEqual([])
  expect(world.fanOut.size).toBe(many - 64)
  while (world.turns.length > 0) world.turn()
  expect(upToDate()).toHaveLength(many)
  world.change(['a'])
  expect(upToDate()).toEqual(Array.from({ length: 64 }, (_, id) => 64 + id))
})

test('who asks for a revision gets all streams that it touches, told or not', () => {
  const world = new World(many)
  for (const stream of world.streams) stream.subscribe('a')
  world.change(['a'])
  const found = world.journal.find(1)
  if (!(found instanceof RevisionRecord)) throw new Error('the journal has no record of the change')
  expect(new Set(found.marks)).toEqual(new Set(world.streams.map(({ mark }) => mark)))
  expect([world.held, world.ended, world.fanOut.announcing]).toEqual([1, 1, false])
  while (world.turns.length > 0) world.turn()
  expect(world.streams.every(({ has }) => has.get('a') === 1)).toBe(true)
})

test('told little by little, no stream misses a change, whatever comes in between', () => {
  const range = { from: fc.nat(many - 1), count: fc.integer({ min: 1, max: 150 }) }
  const step = fc.oneof(
    fc.record({ do: fc.constant('change' as const), names: fc.subarray([...names], { minLength: 1 }) }),
    fc.record({
      do: fc.constantFrom('join' as const, 'leave' as const),
      name: fc.constantFrom(...names),
      ...range,
    }),
    fc.record({ do: fc.constantFrom('look' as const, 'flush' as const, 'end' as const), ...range }),
    fc.record({ do: fc.constantFrom('turn' as const, 'settle' as const, 'find' as const) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), steps => {
      const world = new World(many)
      for (const stream of world.streams) for (const name of names) stream.subscribe(name)
      for (const action of steps) {
        const some = 'from' in action ? world.streams.slice(action.from, action.from + action.count) : []
        if (action.do === 'change') world.change(action.names)
        else if (action.do === 'turn') world.turn()
        else if (action.do === 'settle') world.fanOut.settle()
        else if (action.do === 'find') world.journal.find(world.revision)
        for (const stream of some) {
          if (action.do === 'join') stream.subscribe(action.name)
          else if (action.do === 'leave') stream.unsubscribe(action.name)
          else if (action.do === 'look') stream.check()
          else if (action.do === 'flush') stream.flush()
          else if (action.do === 'end') {
            for (const name of [...stream.subscribed]) stream.unsubscribe(name)
            world.fanOut.forget(stream)
          }
        }
      }
      while (world.turns.length > 0) world.turn()
      for (const stream of world.streams) {
        expect([...stream.changed]).toEqual([])
        for (const name of stream.subscribed) expect(stream.has.get(name)).toBe(world.versions.get(name))
      }
      expect([world.fanOut.size, world.fanOut.announcing, world.ended]).toEqual([0, false, world.held])
    }),
    { numRuns: 60 },
  )
})
