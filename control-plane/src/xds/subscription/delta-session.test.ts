import { expect, test } from 'vitest'
import { resource } from '../testing/server-fixture.ts'
import { SessionFixture, type SentBatch } from '../testing/session-fixture.ts'
import { limitsFor } from './session.ts'
import { clusterType, endpointType, routeType } from '../type-urls.ts'

test('X19 a long silence about clusters costs bounded memory', () => {
  const fixture = new SessionFixture()
  fixture.ackAll(fixture.ask(clusterType))
  const sent = Array.from({ length: 100 }, (_, index) => {
    const changed = fixture.change({ put: [resource(clusterType, 'a', `v${index}`)] })
    return [...changed, ...fixture.wait(100)]
  }).flat()
  const clusters = sent.filter(({ typeUrl }) => typeUrl === clusterType)
  expect(clusters.length).toBeGreaterThan(90)
  expect(fixture.session.deliveries[0]?.unanswered.size).toBeLessThanOrEqual(16)
  fixture.ackAll(clusters)
  expect(fixture.session.deliveries[0]?.busy).toBe(false)
})

test('a stream may neither subscribe to too many names nor open too many types', () => {
  const names = new SessionFixture({ limits: { maxNames: 2 } })
  names.ask(endpointType, { subscribe: ['a', 'b'] })
  expect(() => names.ask(routeType, { subscribe: ['c'] })).toThrow('more than 2 resource names')
  const types = new SessionFixture({ limits: { maxTypes: 1 } })
  types.ask(endpointType)
  expect(() => types.ask(routeType)).toThrow('more than 1 resource types')
})

test('X19 the first response of a type goes whole to who takes any size, later ones are cut', () => {
  const fixture = new SessionFixture({ limits: { maxResponseBytes: 1_000 } })
  const big = 'x'.repeat(400)
  const change = (text: string) => ({ put: ['a', 'b', 'c'].map(name => resource(endpointType, name, text)) })
  fixture.source.apply(change(big))
  const sizes = (batches: SentBatch[]) => fixture.ackAll(batches).map(({ resources }) => resources.length)
  expect(sizes(fixture.ask(endpointType, { subscribe: ['a', 'b', 'c'] }))).toEqual([3])
  expect(sizes(fixture.change(change(`${big}y`)))).toEqual([1, 1, 1])
})

test('only Envoy is known to take messages of any size', () => {
  const limits = { maxNames: 1, maxTypes: 1, maxResponseBytes: 2, maxFirstResponseBytes: 3 }
  expect(limitsFor('envoy/1.40.0', limits).maxFirstResponseBytes).toBe(3)
  expect(limitsFor('gRPC Node Pure JS/1.14', limits).maxFirstResponseBytes).toBe(2)
})

test('clusters are not sent unasked to a stream that has as many types as it may have', () => {
  const fixture = new SessionFixture({ limits: { maxTypes: 2 } })
  fixture.ask(endpointType, { subscribe: ['a'], initialVersions: new Map([['a', '1']]) })
  fixture.ask('made/up')
  expect(fixture.wait(60_000)).toEqual([])
})

test('X10 what is due is not forgotten when something else happens at that very time', () => {
  const fixture = new SessionFixture()
  fixture.source.apply({ put: [resource(clusterType, 'a'), resource(endpointType, 'a')] })
  fixture.ackAll(fixture.ask(endpointType, { subscribe: ['a'], initialVersions: new Map([['a', 'old']]) }))
  fixture.now += 20_000
  fixture.ask(routeType, { subscribe: ['r'] })
  expect(fixture.session.wakeAt).toBeLessThanOrEqual(fixture.now)
  expect(fixture.wait(0).map(({ typeUrl }) => typeUrl)).toContain(clusterType)
})

test('X16 clusters that are silent for too long wake the session until it has looked at them, and not for ever', () => {
  const fixture = new SessionFixture()
  fixture.source.apply({ put: [resource(clusterType, 'a')] })
  expect(fixture.ask(clusterType)).toHaveLength(1)
  fixture.now += 16_000
  fixture.ask(endpointType, { subscribe: ['a'] })
  expect(fixture.session.wakeAt).toBeLessThanOrEqual(fixture.now)
  // A single one that warms is left alone.
  fixture.wait(0)
  expect(fixture.session.wakeAt ?? Infinity).toBeGreaterThan(fixture.now)
})
