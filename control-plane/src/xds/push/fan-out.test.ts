import { expect, test } from 'vitest'
import { systemClock } from '../../runtime/clock.ts'
import { FanOut } from './fan-out.ts'
import { MemorySource } from '../memory-source.ts'
import { ResourceHub, type Subscriber } from './resource-hub.ts'
import { testNode } from '../testing/test-node.ts'
import { resource } from '../testing/server-fixture.ts'

function fanOutOf(count: number) {
  const turns: (() => void)[] = []
  const fanOut = new FanOut({ ...systemClock, soon: run => turns.push(run) })
  const flushed: number[] = []
  const streams = Array.from({ length: count }, (_, index) => ({ flush: () => flushed.push(index) }))
  return { turns, fanOut, flushed, streams }
}

test('a change that touches few streams leaves in the same turn', () => {
  const { turns, fanOut, flushed, streams } = fanOutOf(64)
  for (const stream of streams) fanOut.touch(stream)
  fanOut.release()
  expect([flushed.length, turns.length]).toEqual([64, 0])
})

test('a big change goes out in slices, and a small one after it does not wait for it', () => {
  const { turns, fanOut, flushed, streams } = fanOutOf(200)
  for (const stream of streams) fanOut.touch(stream)
  fanOut.release()
  expect(flushed.length).toBe(64)
  const last = streams[199]
  if (last !== undefined) fanOut.touch(last)
  fanOut.release()
  expect(flushed.at(-1)).toBe(199)
  while (turns.length > 0) turns.shift()?.()
  expect(flushed.length).toBe(200)
  expect(new Set(flushed).size).toBe(200)
})

test('big changes one after the other merge, and a stream that ended is left out', () => {
  const { turns, fanOut, flushed, streams } = fanOutOf(200)
  for (let change = 0; change < 3; change += 1) {
    for (const stream of streams) fanOut.touch(stream)
    fanOut.release()
  }
  expect(turns.length).toBe(1)
  for (const stream of streams.slice(150)) fanOut.forget(stream)
  while (turns.length > 0) turns.shift()?.()
  expect(new Set(flushed).size).toBe(150)
  // The first slice was flushed for the first change, and once more for the last one.
  expect(flushed.length).toBe(150 + 64)
})

const subscriber = (): Subscriber & { seen: string[] } => {
  const seen: string[] = []
  return { seen, touch: (name, revision) => seen.push(`${name}@${revision}`) }
}

test('a set is watched once, tells its subscribers only, and is left with the last of them', () => {
  const source = new MemorySource()
  const view = source.open(testNode())
  const set = view.set('t')
  if (set === undefined) throw new Error('a memory source serves every type')
  const hub = new ResourceHub()
  const [a, b, all] = [subscriber(), subscriber(), subscriber()]
  hub.index(set).add('a', a)
  hub.index(set).add('b', b)
  hub.index(set).addWildcard(all)
  expect(hub.size).toBe(1)
  source.apply({ put: [resource('t', 'a'), resource('t', 'c')] })
  expect([a.seen, b.seen, all.seen]).toEqual([['a@1'], [], ['a@1', 'c@1']])
  hub.find(set)?.remove('a', a)
  hub.find(set)?.remove('never', a)
  hub.find(set)?.removeWildcard(all)
  source.apply({ put: [resource('t', 'a', '2'), resource('t', 'b')] })
  expect([a.seen, b.seen, all.seen.length]).toEqual([['a@1'], ['b@2'], 2])
  hub.find(set)?.remove('b', b)
  expect([hub.size, hub.find(set)]).toEqual([0, undefined])
  source.apply({ put: [resource('t', 'b', '3')] })
  expect(b.seen).toEqual(['b@2'])
})

test('who has been touched and not flushed is known', () => {
  const { turns, fanOut, streams } = fanOutOf(200)
  const waiting = () => new Set(fanOut.waiting())
  for (const stream of streams) fanOut.touch(stream)
  expect(waiting()).toEqual(new Set(streams))
  fanOut.release()
  expect(waiting()).toEqual(new Set(streams.slice(64)))
  while (turns.length > 0) turns.shift()?.()
  expect(waiting()).toEqual(new Set())
})
