import { expect, test } from 'vitest'
import { resource } from '../testing/server-fixture.ts'
import { SessionFixture } from '../testing/session-fixture.ts'
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
