import { describe, expect, test } from 'vitest'
import { MemorySource, type MemoryResource } from './memory-source.ts'
import type { ResourceRef } from './port.ts'
import { sotwSessionDriver, sotwSocketDriver, type SotwDriver } from './testing/sotw-driver.ts'
import type { SentState } from './testing/sotw-fixture.ts'
import { clusterType, endpointType, listenerType, routeType } from './type-urls.ts'

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
/** State of the world tells no names: a body has its own. */
const resource = (
  typeUrl: string,
  name: string,
  text = '1',
  dependsOn: ResourceRef[] = [],
): MemoryResource => ({
  typeUrl,
  name,
  body: Buffer.from(`${name}=${text}`),
  dependsOn,
})
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
async function have(driver: SotwDriver, typeUrl: string, names: string[] = []): Promise<SentState> {
  const state = one(await driver.ask(typeUrl, { names }))
  expect(await driver.ask(typeUrl, { names, nonce: state.nonce, version: state.version })).toEqual([])
  return state
}

describe.each([
  ['in process', sotwSessionDriver],
  ['over a gRPC socket', sotwSocketDriver],
])('%s', (_, open) => {
  test('X24 listeners and clusters come as the full state: what is missing is gone', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [cluster('a'), cluster('b')] })
    const first = await have(fixture, clusterType)
    expect(text([first])).toEqual(['C a=1 b=1'])
    const changed = one(await fixture.change({ put: [cluster('b', '2'), cluster('c')] }))
    expect(text([changed])).toEqual(['C a=1 b=2 c=1'])
    await fixture.ask(clusterType, { nonce: changed.nonce })
    expect(text(await fixture.change({ remove: [ref(clusterType, 'a')] }))).toEqual(['C b=2 c=1'])
  })

  test('X24 routes and endpoints come as what changed, and removals are not told', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: ['a', 'b'].map(name => resource(endpointType, name)) })
    const names = ['a', 'b']
    expect(text([await have(fixture, endpointType, names)])).toEqual(['E a=1 b=1'])
    const changed = one(await fixture.change({ put: [resource(endpointType, 'b', '2')] }))
    expect(text([changed])).toEqual(['E b=2'])
    await fixture.ask(endpointType, { names, nonce: changed.nonce })
    expect(await fixture.change({ remove: [ref(endpointType, 'a')] })).toEqual([])
    expect(text(await fixture.change({ put: [resource(endpointType, 'a', '3')] }))).toEqual(['E a=3'])
  })

  test('X24 a new name is answered without sending the others again, and with them where the state is full', async () => {
    await using fixture = await open()
    fixture.source.apply({
      put: [endpointType, listenerType].flatMap(type => ['a', 'b'].map(name => resource(type, name))),
    })
    const endpoints = await have(fixture, endpointType, ['a'])
    const more = one(await fixture.ask(endpointType, { names: ['a', 'b'], nonce: endpoints.nonce }))
    expect(text([more])).toEqual(['E b=1'])
    const listeners = await have(fixture, listenerType, ['a'])
    const both = one(await fixture.ask(listenerType, { names: ['a', 'b'], nonce: listeners.nonce }))
    expect(text([both])).toEqual(['L a=1 b=1'])
    // That a listener does not exist is told, too.
    const none = one(await fixture.ask(listenerType, { names: ['a', 'b', 'none'], nonce: both.nonce }))
    expect(text([none])).toEqual(['L a=1 b=1'])
    expect(await fixture.ask(endpointType, { names: ['a', 'b', 'none'], nonce: more.nonce })).toEqual([])
    expect(text(await fixture.change({ put: [resource(endpointType, 'none', '1')] }))).toEqual(['E none=1'])
  })

  test('X24 an empty list is a wildcard until the first name, then it unsubscribes all', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [cluster('a'), cluster('b')] })
    const all = await have(fixture, clusterType)
    const named = one(await fixture.ask(clusterType, { names: ['a'], nonce: all.nonce }))
    expect(text([named])).toEqual(['C a=1'])
    expect(await fixture.ask(clusterType, { names: ['a'], nonce: named.nonce })).toEqual([])
    expect(await fixture.change({ put: [cluster('b', '2')] })).toEqual([])
    const changed = one(await fixture.change({ put: [cluster('a', '2')] }))
    expect(text([changed])).toEqual(['C a=2'])
    expect(await fixture.ask(clusterType, { names: [], nonce: changed.nonce })).toEqual([])
    expect(await fixture.change({ put: [cluster('a', '3')] })).toEqual([])
    const explicit = one(await fixture.ask(clusterType, { names: ['*'], nonce: changed.nonce }))
    expect(text([explicit])).toEqual(['C a=3 b=2'])
  })

  test('X24 a name left out and listed again is sent again', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [resource(endpointType, 'a'), resource(endpointType, 'b')] })
    const { nonce } = await have(fixture, endpointType, ['a', 'b'])
    expect(await fixture.ask(endpointType, { names: ['b'], nonce })).toEqual([])
    expect(text(await fixture.ask(endpointType, { names: ['a', 'b'], nonce }))).toEqual(['E a=1'])
  })

  test('X14 X24 a request with the nonce of an older response is ignored, names and all', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [resource(endpointType, 'a'), resource(endpointType, 'b')] })
    const old = await have(fixture, endpointType, ['a'])
    const changed = one(await fixture.change({ put: [resource(endpointType, 'a', '2')] }))
    expect(await fixture.ask(endpointType, { names: ['a', 'b'], nonce: old.nonce })).toEqual([])
    const error = 'too late'
    expect(await fixture.ask(endpointType, { names: ['a'], nonce: old.nonce, error })).toEqual([])
    expect([fixture.refusals(), fixture.settled(endpointType)]).toEqual([[], false])
    expect(text(await fixture.ask(endpointType, { names: ['a', 'b'], nonce: changed.nonce }))).toEqual([
      'E b=1',
    ])
  })

  test('X24 a name that a stale request leaves out is sent again when the next one lists it', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [resource(endpointType, 'a'), resource(endpointType, 'b')] })
    const names = ['a', 'b']
    const old = await have(fixture, endpointType, names)
    const changed = one(await fixture.change({ put: [resource(endpointType, 'a', '2')] }))
    expect(await fixture.ask(endpointType, { names: ['a'], nonce: old.nonce })).toEqual([])
    expect(text(await fixture.ask(endpointType, { names, nonce: changed.nonce }))).toEqual(['E b=1'])
  })

  test('X11 X24 a wildcard that reconnects with the version of what it has gets nothing, names are sent', async () => {
    const source = new MemorySource()
    source.apply({
      put: [cluster('a'), cluster('b'), resource(endpointType, 'a'), resource(endpointType, 'b')],
    })
    await using before = await open({ source })
    await have(before, clusterType)
    const names = ['a', 'b']
    const endpoints = await have(before, endpointType, names)
    const clusters = one((await before.change({ put: [cluster('b', '2')] })).slice(0, 1))
    await using after = await open({ source })
    expect(await after.ask(clusterType, { version: clusters.version, nonce: 'of the old stream' })).toEqual(
      [],
    )
    expect(text(await after.ask(endpointType, { names, version: endpoints.version }))).toEqual(['E a=1 b=1'])
    expect(text((await after.change({ put: [cluster('a', '2')] })).slice(0, 1))).toEqual(['C a=2 b=2'])
    await using other = await open({ source })
    expect(text(await other.ask(clusterType, { version: clusters.version }))).toEqual(['C a=2 b=2'])
  })

  test('X24 the version of a response is that of the source where it has one', async () => {
    const source = new MemorySource()
    source.apply({ put: [cluster('a')], versions: { [clusterType]: '7' } })
    await using fixture = await open({ source })
    expect((await have(fixture, clusterType)).version).toBe('7')
    await using same = await open({ source })
    expect(await same.ask(clusterType, { version: '7' })).toEqual([])
    // A client may have dropped everything, and then have taken the wildcard again.
    await using starred = await open({ source })
    expect(text(await starred.ask(clusterType, { names: ['*'], version: '7' }))).toEqual(['C a=1'])
    // Of named resources it does not say which the client has.
    await using named = await open({ source })
    expect(text(await named.ask(clusterType, { names: ['a'], version: '7' }))).toEqual(['C a=1'])
  })

  test('X12 X24 a first wildcard is answered although there is nothing', async () => {
    await using fixture = await open()
    expect(text(await fixture.ask(listenerType))).toEqual(['L'])
    expect(await fixture.ask(routeType, { names: ['r'] })).toEqual([])
  })

  test('X16 X24 a refused resource is kept back until it changes, the others go on', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [resource(listenerType, 'a'), resource(listenerType, 'b')] })
    await have(fixture, listenerType)
    const bad = one(await fixture.change({ put: [resource(listenerType, 'a', 'bad')] }))
    expect(text([bad])).toEqual(['L a=bad b=1'])
    expect(await fixture.ask(listenerType, { nonce: bad.nonce, error: 'no' })).toEqual([])
    const other = one(await fixture.change({ put: [resource(listenerType, 'b', '2')] }))
    expect(text([other])).toEqual(['L a=1 b=2'])
    expect(await fixture.ask(listenerType, { nonce: other.nonce })).toEqual([])
    expect(text(await fixture.change({ put: [resource(listenerType, 'a', '3')] }))).toEqual(['L a=3 b=2'])
  })

  test('X16 X24 a refused cluster is at once replaced by its last good bytes in the full state', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [cluster('a'), cluster('b')] })
    await have(fixture, clusterType)
    const bad = one(
      await fixture.change({ put: [cluster('a', 'bad'), cluster('b', '2'), cluster('new', 'bad')] }),
    )
    const error = 'refused a, new'
    const fix = one(await fixture.ask(clusterType, { nonce: bad.nonce, error }))
    expect(text([fix])).toEqual(['C a=1 b=1'])
    // Then each is tried alone.
    const tries = [fix]
    for (const state of tries) {
      const refuse = state.resources.some(each => each.endsWith('bad'))
      tries.push(...(await fixture.ask(clusterType, { nonce: state.nonce, ...(refuse ? { error } : {}) })))
    }
    expect(text(tries.slice(-1))).toEqual(['C a=1 b=2'])
    expect(fixture.refusals()).toMatchObject([{ names: ['a'] }, { names: ['new'] }])
  })

  test('X19 X24 clusters go on without an ACK, and a late answer to an older response is taken', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [cluster('a')] })
    const first = one(await fixture.ask(clusterType))
    expect(await fixture.change({ put: [cluster('b')] })).toEqual([])
    const second = one(await fixture.wait(100))
    expect(text([second])).toEqual(['C a=1 b=1'])
    expect(await fixture.ask(clusterType, { nonce: first.nonce })).toEqual([])
    expect(fixture.settled(clusterType)).toBe(false)
    expect(await fixture.ask(clusterType, { nonce: second.nonce })).toEqual([])
    expect(fixture.settled(clusterType)).toBe(true)
  })

  test('X16 X19 X24 a state that repeats an unanswered bad cluster is refused for that one', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [cluster('a', 'bad')] })
    const first = one(await fixture.ask(clusterType))
    await fixture.change({ put: [cluster('b')] })
    const second = one(await fixture.wait(100))
    const tries = [first, second]
    for (const state of tries) {
      const refused = state.resources.includes('a=bad') ? { error: 'no' } : {}
      tries.push(...(await fixture.ask(clusterType, { nonce: state.nonce, ...refused })))
    }
    expect(text(tries.slice(-1))).toEqual(['C b=1'])
    expect(fixture.refusals()).toMatchObject([{ names: ['a'] }])
  })

  test('X20 X24 the order holds: clusters, endpoints, listeners, routes; removals last', async () => {
    await using fixture = await open()
    fixture.source.apply({
      put: [cluster('a'), resource(endpointType, 'a'), resource(listenerType, 'l'), route(['a'])],
    })
    await have(fixture, clusterType)
    await have(fixture, endpointType, ['a'])
    await have(fixture, listenerType)
    await have(fixture, routeType, ['r'])
    const sent = await fixture.change({
      put: [cluster('b'), resource(endpointType, 'b'), resource(listenerType, 'l', '2'), route(['b'])],
      remove: [ref(clusterType, 'a'), ref(endpointType, 'a')],
    })
    expect(text(sent)).toEqual(['C a=1 b=1', 'L l=2'])
    const [clusters, listeners] = sent
    const routes = one(await fixture.ask(clusterType, { nonce: clusters?.nonce ?? '' }))
    expect(text([routes])).toEqual(['R r=b'])
    expect(await fixture.ask(listenerType, { nonce: listeners?.nonce ?? '' })).toEqual([])
    expect(text(await fixture.ask(routeType, { names: ['r'], nonce: routes.nonce }))).toEqual(['C b=1'])
  })
})
