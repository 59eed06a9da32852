import { expect, test } from 'vitest'
import { MemorySource } from '../memory-source.ts'
import { resource } from '../testing/server-fixture.ts'
import { SotwFixture, type SentState } from '../testing/sotw-fixture.ts'
import { clusterType, endpointType, listenerType, routeType } from '../type-urls.ts'

const short = new Map([
  [clusterType, 'C'],
  [endpointType, 'E'],
  [listenerType, 'L'],
  [routeType, 'R'],
])
/** `C a=1 b=1`: type and resources. */
const text = (sent: SentState[]): string[] =>
  sent.map(({ typeUrl, resources }) => [short.get(typeUrl) ?? typeUrl, ...resources].join(' '))
const one = (sent: SentState[]): SentState => {
  const [state] = sent
  if (state === undefined || sent.length > 1) throw new Error(`one response expected: ${text(sent).join()}`)
  return state
}
const ref = (typeUrl: string, name: string) => ({ typeUrl, name })
const cluster = (name: string, body = '1') => resource(clusterType, name, body, [ref(endpointType, name)])
const route = (clusters: string[], body = clusters.join('')) =>
  resource(
    routeType,
    'r',
    body,
    clusters.map(name => ref(clusterType, name)),
  )

/** Asks, ACKs what comes, and fails if that brings anything. */
function have(fixture: SotwFixture, typeUrl: string, names: string[] = []): SentState {
  const state = one(fixture.ask(typeUrl, { names }))
  expect(fixture.ask(typeUrl, { names, nonce: state.nonce, version: state.version })).toEqual([])
  return state
}

test('X24 listeners and clusters come as the full state: what is missing is gone', () => {
  const fixture = new SotwFixture()
  fixture.source.apply({ put: [cluster('a'), cluster('b')] })
  const first = have(fixture, clusterType)
  expect(text([first])).toEqual(['C a=1 b=1'])
  const changed = one(fixture.change({ put: [cluster('b', '2'), cluster('c')] }))
  expect(text([changed])).toEqual(['C a=1 b=2 c=1'])
  fixture.ask(clusterType, { nonce: changed.nonce })
  expect(text(fixture.change({ remove: [ref(clusterType, 'a')] }))).toEqual(['C b=2 c=1'])
})

test('X24 routes and endpoints come as what changed, and removals are not told', () => {
  const fixture = new SotwFixture()
  fixture.source.apply({ put: ['a', 'b'].map(name => resource(endpointType, name)) })
  const names = ['a', 'b']
  expect(text([have(fixture, endpointType, names)])).toEqual(['E a=1 b=1'])
  const changed = one(fixture.change({ put: [resource(endpointType, 'b', '2')] }))
  expect(text([changed])).toEqual(['E b=2'])
  fixture.ask(endpointType, { names, nonce: changed.nonce })
  expect(fixture.change({ remove: [ref(endpointType, 'a')] })).toEqual([])
  expect(text(fixture.change({ put: [resource(endpointType, 'a', '3')] }))).toEqual(['E a=3'])
})

test('X24 a new name is answered without sending the others again, and with them where the state is full', () => {
  const fixture = new SotwFixture()
  fixture.source.apply({
    put: [endpointType, listenerType].flatMap(type => ['a', 'b'].map(name => resource(type, name))),
  })
  const endpoints = have(fixture, endpointType, ['a'])
  const more = one(fixture.ask(endpointType, { names: ['a', 'b'], nonce: endpoints.nonce }))
  expect(text([more])).toEqual(['E b=1'])
  const listeners = have(fixture, listenerType, ['a'])
  const both = one(fixture.ask(listenerType, { names: ['a', 'b'], nonce: listeners.nonce }))
  expect(text([both])).toEqual(['L a=1 b=1'])
  // That a listener does not exist is told, too.
  const none = one(fixture.ask(listenerType, { names: ['a', 'b', 'none'], nonce: both.nonce }))
  expect(text([none])).toEqual(['L a=1 b=1'])
  expect(fixture.ask(endpointType, { names: ['a', 'b', 'none'], nonce: more.nonce })).toEqual([])
  expect(text(fixture.change({ put: [resource(endpointType, 'none', '1')] }))).toEqual(['E none=1'])
})

test('X24 an empty list is a wildcard until the first name, then it unsubscribes all', () => {
  const fixture = new SotwFixture()
  fixture.source.apply({ put: [cluster('a'), cluster('b')] })
  const all = have(fixture, clusterType)
  const named = one(fixture.ask(clusterType, { names: ['a'], nonce: all.nonce }))
  expect(text([named])).toEqual(['C a=1'])
  expect(fixture.ask(clusterType, { names: ['a'], nonce: named.nonce })).toEqual([])
  expect(fixture.change({ put: [cluster('b', '2')] })).toEqual([])
  const changed = one(fixture.change({ put: [cluster('a', '2')] }))
  expect(text([changed])).toEqual(['C a=2'])
  expect(fixture.ask(clusterType, { names: [], nonce: changed.nonce })).toEqual([])
  expect(fixture.change({ put: [cluster('a', '3')] })).toEqual([])
  const explicit = one(fixture.ask(clusterType, { names: ['*'], nonce: changed.nonce }))
  expect(text([explicit])).toEqual(['C a=3 b=2'])
})

test('X24 a name left out and listed again is sent again', () => {
  const fixture = new SotwFixture()
  fixture.source.apply({ put: [resource(endpointType, 'a'), resource(endpointType, 'b')] })
  const { nonce } = have(fixture, endpointType, ['a', 'b'])
  expect(fixture.ask(endpointType, { names: ['b'], nonce })).toEqual([])
  expect(text(fixture.ask(endpointType, { names: ['a', 'b'], nonce }))).toEqual(['E a=1'])
})

test('X14 X24 a request with the nonce of an older response is ignored, names and all', () => {
  const fixture = new SotwFixture()
  fixture.source.apply({ put: [resource(endpointType, 'a'), resource(endpointType, 'b')] })
  const old = have(fixture, endpointType, ['a'])
  const changed = one(fixture.change({ put: [resource(endpointType, 'a', '2')] }))
  expect(fixture.request(endpointType, { names: ['a', 'b'], nonce: old.nonce }).answer).toBe('stale')
  expect(fixture.flush()).toEqual([])
  const error = 'too late'
  expect(fixture.request(endpointType, { names: ['a'], nonce: old.nonce, error }).answer).toBe('stale')
  expect(text(fixture.ask(endpointType, { names: ['a', 'b'], nonce: changed.nonce }))).toEqual(['E b=1'])
})

test('X24 a name that a stale request leaves out is sent again when the next one lists it', () => {
  const fixture = new SotwFixture()
  fixture.source.apply({ put: [resource(endpointType, 'a'), resource(endpointType, 'b')] })
  const names = ['a', 'b']
  const old = have(fixture, endpointType, names)
  const changed = one(fixture.change({ put: [resource(endpointType, 'a', '2')] }))
  expect(fixture.ask(endpointType, { names: ['a'], nonce: old.nonce })).toEqual([])
  expect(text(fixture.ask(endpointType, { names, nonce: changed.nonce }))).toEqual(['E b=1'])
})

test('X24 names may change before the first response, without a nonce', () => {
  const fixture = new SotwFixture()
  fixture.source.apply({ put: [resource(endpointType, 'a'), resource(endpointType, 'b')] })
  fixture.request(endpointType, { names: ['a'] })
  fixture.request(endpointType, { names: ['a', 'b'] })
  expect(text(fixture.flush())).toEqual(['E a=1 b=1'])
})

test('X11 X24 a wildcard that reconnects with the version of what it has gets nothing, names are sent', () => {
  const source = new MemorySource()
  source.apply({
    put: [cluster('a'), cluster('b'), resource(endpointType, 'a'), resource(endpointType, 'b')],
  })
  const before = new SotwFixture({ source })
  have(before, clusterType)
  const names = ['a', 'b']
  const endpoints = have(before, endpointType, names)
  const clusters = one(before.change({ put: [cluster('b', '2')] }).slice(0, 1))
  const after = new SotwFixture({ source })
  expect(after.ask(clusterType, { version: clusters.version, nonce: 'of the old stream' })).toEqual([])
  expect(text(after.ask(endpointType, { names, version: endpoints.version }))).toEqual(['E a=1 b=1'])
  expect(text(after.change({ put: [cluster('a', '2')] }).slice(0, 1))).toEqual(['C a=2 b=2'])
  expect(text(new SotwFixture({ source }).ask(clusterType, { version: clusters.version }))).toEqual([
    'C a=2 b=2',
  ])
})

test('X24 the version of a response is that of the source where it has one', () => {
  const source = new MemorySource()
  source.apply({ put: [cluster('a')], versions: { [clusterType]: '7' } })
  const fixture = new SotwFixture({ source })
  expect(have(fixture, clusterType).version).toBe('7')
  expect(new SotwFixture({ source }).ask(clusterType, { version: '7' })).toEqual([])
  // Of named resources it does not say which the client has.
  expect(text(new SotwFixture({ source }).ask(clusterType, { names: ['a'], version: '7' }))).toEqual([
    'C a=1',
  ])
})

test('X12 X24 a first wildcard is answered although there is nothing', () => {
  expect(text(new SotwFixture().ask(listenerType))).toEqual(['L'])
  expect(text(new SotwFixture().ask(routeType, { names: ['r'] }))).toEqual([])
})

test('X16 X24 a refused resource is kept back until it changes, the others go on', () => {
  const fixture = new SotwFixture()
  fixture.source.apply({ put: [resource(listenerType, 'a'), resource(listenerType, 'b')] })
  have(fixture, listenerType)
  const bad = one(fixture.change({ put: [resource(listenerType, 'a', 'bad')] }))
  expect(text([bad])).toEqual(['L a=bad b=1'])
  expect(fixture.ask(listenerType, { nonce: bad.nonce, error: 'no' })).toEqual([])
  const other = one(fixture.change({ put: [resource(listenerType, 'b', '2')] }))
  expect(text([other])).toEqual(['L a=1 b=2'])
  expect(fixture.ask(listenerType, { nonce: other.nonce })).toEqual([])
  expect(text(fixture.change({ put: [resource(listenerType, 'a', '3')] }))).toEqual(['L a=3 b=2'])
})

test('X16 X24 a refused cluster is at once replaced by its last good bytes in the full state', () => {
  const fixture = new SotwFixture()
  fixture.source.apply({ put: [cluster('a'), cluster('b')] })
  have(fixture, clusterType)
  const bad = one(fixture.change({ put: [cluster('a', 'bad'), cluster('b', '2'), cluster('new', 'bad')] }))
  const error = 'refused a, new'
  const fix = one(fixture.ask(clusterType, { nonce: bad.nonce, error }))
  expect(text([fix])).toEqual(['C a=1 b=1'])
  // Then each is tried alone.
  const tries = [fix]
  for (const state of tries) {
    const refuse = state.resources.some(each => each.endsWith('bad'))
    tries.push(...fixture.ask(clusterType, { nonce: state.nonce, ...(refuse ? { error } : {}) }))
  }
  expect(text(tries.slice(-1))).toEqual(['C a=1 b=2'])
  expect(fixture.session.deliveries[0]?.refusals.map(({ names }) => names)).toEqual([['a'], ['new']])
})

test('X19 X24 clusters go on without an ACK, and a late answer to an older response is taken', () => {
  const fixture = new SotwFixture()
  fixture.source.apply({ put: [cluster('a')] })
  const first = one(fixture.ask(clusterType))
  expect(fixture.change({ put: [cluster('b')] })).toEqual([])
  const second = one(fixture.wait(100))
  expect(text([second])).toEqual(['C a=1 b=1'])
  expect(fixture.request(clusterType, { nonce: first.nonce }).answer).toBe('acked')
  expect(fixture.request(clusterType, { nonce: second.nonce }).answer).toBe('acked')
  expect(fixture.session.deliveries[0]?.unanswered.size).toBe(0)
})

test('X16 X19 X24 a state that repeats an unanswered bad cluster is refused for that one', () => {
  const fixture = new SotwFixture()
  fixture.source.apply({ put: [cluster('a', 'bad')] })
  const first = one(fixture.ask(clusterType))
  fixture.change({ put: [cluster('b')] })
  const second = one(fixture.wait(100))
  const tries = [first, second]
  for (const state of tries) {
    const refused = state.resources.includes('a=bad') ? { error: 'no' } : {}
    tries.push(...fixture.ask(clusterType, { nonce: state.nonce, ...refused }))
  }
  expect(text(tries.slice(-1))).toEqual(['C b=1'])
  expect(fixture.session.deliveries[0]?.refusals.map(({ names }) => names)).toEqual([['a']])
})

test('X20 X24 the order holds: clusters, endpoints, listeners, routes; removals last', () => {
  const fixture = new SotwFixture()
  fixture.source.apply({
    put: [cluster('a'), resource(endpointType, 'a'), resource(listenerType, 'l'), route(['a'])],
  })
  have(fixture, clusterType)
  have(fixture, endpointType, ['a'])
  have(fixture, listenerType)
  have(fixture, routeType, ['r'])
  const sent = fixture.change({
    put: [cluster('b'), resource(endpointType, 'b'), resource(listenerType, 'l', '2'), route(['b'])],
    remove: [ref(clusterType, 'a'), ref(endpointType, 'a')],
  })
  expect(text(sent)).toEqual(['C a=1 b=1', 'L l=2'])
  const [clusters, listeners] = sent
  const routes = one(fixture.ask(clusterType, { nonce: clusters?.nonce ?? '' }))
  expect(text([routes])).toEqual(['R r=b'])
  expect(fixture.ask(listenerType, { nonce: listeners?.nonce ?? '' })).toEqual([])
  expect(text(fixture.ask(routeType, { names: ['r'], nonce: routes.nonce }))).toEqual(['C b=1'])
})

test('X20 X24 a changed cluster is followed by its unchanged endpoints; on a stream of its own it is not', () => {
  const source = new MemorySource()
  source.apply({ put: [cluster('a'), resource(endpointType, 'a')] })
  const fixture = new SotwFixture({ source })
  have(fixture, clusterType)
  have(fixture, endpointType, ['a'])
  const separate = new SotwFixture({ source, aggregated: false })
  have(separate, clusterType)
  expect(text(fixture.change({ put: [cluster('a', '2')] }))).toEqual(['C a=2', 'E a=1'])
  expect(text(separate.flush())).toEqual(['C a=2'])
  const endpoints = new SotwFixture({ source, aggregated: false })
  have(endpoints, endpointType, ['a'])
  expect(endpoints.wait(20_000)).toEqual([])
})
