import { describe, expect, test } from 'vitest'
import { MemorySource } from './memory-source.ts'
import { resource } from './testing/server-fixture.ts'
import { sessionDriver, socketDriver, type DeltaDriver, type DriverOptions } from './testing/delta-driver.ts'
import type { SentBatch } from './testing/session-fixture.ts'
import { testNode } from './testing/test-node.ts'
import {
  clusterType,
  endpointType,
  listenerType,
  routeType,
  secretType,
  virtualHostType,
} from './type-urls.ts'

const short = new Map([
  [clusterType, 'C'],
  [endpointType, 'E'],
  [secretType, 'S'],
  [listenerType, 'L'],
  [routeType, 'R'],
])
/** `C +a=1 -b`: type, resources, removed names. */
const text = (batches: SentBatch[]): string[] =>
  batches.map(({ typeUrl, resources, removed }) =>
    [
      short.get(typeUrl) ?? typeUrl,
      ...resources.map(each => `+${each}`),
      ...removed.map(each => `-${each}`),
    ].join(' '),
  )
const one = (batches: SentBatch[]): SentBatch => {
  const [batch] = batches
  if (batch === undefined || batches.length > 1)
    throw new Error(`one response expected: ${text(batches).join()}`)
  return batch
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
const version = (source: MemorySource, typeUrl: string, name: string): string => {
  const view = source.open(testNode())
  return view.set(typeUrl)?.get(name)?.version ?? ''
}

const ack = (driver: DeltaDriver, { typeUrl, nonce }: SentBatch): Promise<SentBatch[]> =>
  driver.ask(typeUrl, { nonce })
const nack = (driver: DeltaDriver, { typeUrl, nonce }: SentBatch, error = 'refused'): Promise<SentBatch[]> =>
  driver.ask(typeUrl, { nonce, error })
/** ACKs these and what they lead to, until nothing more is sent; returns all that was sent. */
async function ackAll(driver: DeltaDriver, batches: SentBatch[]): Promise<SentBatch[]> {
  const sent = [...batches]
  for (const batch of sent) sent.push(...(await ack(driver, batch)))
  return sent
}
type Open = (options?: DriverOptions) => Promise<DeltaDriver>

/** A sidecar that has clusters, endpoints, a listener and a route, all ACKed. */
async function sidecar(open: Open, names = ['a']): Promise<DeltaDriver> {
  const fixture = await open()
  fixture.source.apply({
    put: [
      ...names.flatMap(name => [cluster(name), resource(endpointType, name)]),
      resource(listenerType, 'l'),
      route(names),
    ],
  })
  await ackAll(fixture, await fixture.ask(clusterType))
  await ackAll(fixture, await fixture.ask(endpointType, { subscribe: names }))
  await ackAll(fixture, await fixture.ask(listenerType))
  await ackAll(fixture, await fixture.ask(routeType, { subscribe: ['r'] }))
  return fixture
}

describe.each([
  ['in process', sessionDriver],
  ['over a gRPC socket', socketDriver],
])('%s', (_, make) => {
  const open: Open = (options = {}) => make(options)

  test('X1 who asks for clusters, listeners or virtual hosts first without names gets all, of other types nothing', async () => {
    await using fixture = await open()
    const types = [clusterType, listenerType, virtualHostType, endpointType, routeType, secretType]
    fixture.source.apply({ put: types.map(type => resource(type, 'a')) })
    const answered: string[] = []
    for (const type of types) {
      if ((await ackAll(fixture, await fixture.ask(type))).length > 0) answered.push(type)
    }
    expect(answered).toEqual([clusterType, listenerType, virtualHostType])
  })

  test('X1 who names a listener first gets no other, and an empty list later means nothing', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: ['a', 'b'].map(name => resource(listenerType, name)) })
    expect(text(await ackAll(fixture, await fixture.ask(listenerType, { subscribe: ['a'] })))).toEqual([
      'L +a=1',
    ])
    expect(await fixture.ask(listenerType)).toEqual([])
    expect(await fixture.change({ put: [resource(listenerType, 'b', '2')] })).toEqual([])
  })

  test('X2 a wildcard and a name beside it end one by one, and what is left is served', async () => {
    await using fixture = await open()
    const change = (body: string) =>
      fixture.change({ put: ['a', 'b'].map(name => resource(listenerType, name, body)) })
    fixture.source.apply({ put: ['a', 'b'].map(name => resource(listenerType, name)) })
    await ackAll(fixture, await fixture.ask(listenerType))
    await ackAll(fixture, await fixture.ask(listenerType, { subscribe: ['a'] }))
    expect(text(await ackAll(fixture, await change('2')))).toEqual(['L +a=2 +b=2'])
    expect(await fixture.ask(listenerType, { unsubscribe: ['*'] })).toEqual([])
    expect(text(await ackAll(fixture, await change('3')))).toEqual(['L +a=3'])
    expect(await fixture.ask(listenerType, { unsubscribe: ['a'] })).toEqual([])
    expect(await fixture.ask(listenerType)).toEqual([])
    expect(await change('4')).toEqual([])
  })

  test('X3 who asks for * gets every resource of any type, and each new one', async () => {
    await using fixture = await open()
    for (const type of [clusterType, endpointType, 't']) {
      fixture.source.apply({ put: [resource(type, 'a')] })
      const first = await ackAll(fixture, await fixture.ask(type, { subscribe: ['*'] }))
      expect(first.map(({ resources }) => resources)).toEqual([['a=1']])
      const next = await ackAll(fixture, await fixture.change({ put: [resource(type, 'b')] }))
      expect(next.map(({ resources }) => resources)).toEqual([['b=1']])
      expect(await fixture.ask(type, { unsubscribe: ['*'] })).toEqual([])
      expect(await fixture.change({ put: [resource(type, 'b', '2')] })).toEqual([])
    }
  })

  test('X4 a name unsubscribed under a wildcard is answered: with the resource, or as removed', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [cluster('a'), { ...cluster('od'), onDemand: true }] })
    await ackAll(fixture, await fixture.ask(clusterType, { subscribe: ['*', 'a', 'od'] }))
    expect(text(await fixture.ask(clusterType, { unsubscribe: ['a', 'od'] }))).toEqual(['C +a=1 -od'])
  })

  test('X4 any other request that only unsubscribes is not answered', async () => {
    await using fixture = await sidecar(open)
    expect(await fixture.ask(endpointType, { unsubscribe: ['a', 'never'] })).toEqual([])
    expect(await fixture.change({ put: [resource(endpointType, 'a', '2')] })).toEqual([])
  })

  test('X5 a name that is held is sent again when subscribed again, also with its ACK on the way', async () => {
    await using fixture = await sidecar(open)
    const again = one(await fixture.ask(endpointType, { subscribe: ['a'] }))
    expect(text([again])).toEqual(['E +a=1'])
    expect(await fixture.ask(endpointType, { subscribe: ['a'] })).toEqual([])
    expect(text(await ack(fixture, again))).toEqual(['E +a=1'])
  })

  test('X5 a name that a wildcard covers is sent again when subscribed by name', async () => {
    await using fixture = await sidecar(open)
    expect(text(await fixture.ask(clusterType, { subscribe: ['a'] }))).toEqual(['C +a=1', 'E +a=1'])
  })

  test('X6 an unknown name is answered as removed at once and pushed when it appears', async () => {
    await using fixture = await open()
    const answer = one(await fixture.ask(endpointType, { subscribe: ['late'] }))
    expect(text([answer])).toEqual(['E -late'])
    expect(await ack(fixture, answer)).toEqual([])
    expect(text(await fixture.change({ put: [resource(endpointType, 'late')] }))).toEqual(['E +late=1'])
  })

  test('X7 a name may resolve to a resource of another name, once for all that ask for it', async () => {
    await using fixture = await open()
    const host = { ...resource('t', 'r/a', '1'), aliases: ['r/a.mesh', 'r/a.local'] }
    fixture.source.apply({ put: [host] })
    const asked = ['r/a.mesh', 'r/a.local', 'r/b.mesh']
    const sent = one(await fixture.ask('t', { subscribe: asked }))
    expect(text([sent])).toEqual(['t +r/a=1 -r/b.mesh'])
    expect(await ack(fixture, sent)).toEqual([])
    const changed = one(await fixture.change({ put: [{ ...host, body: Buffer.from('2') }] }))
    expect(text([changed])).toEqual(['t +r/a=2'])
    expect(await ack(fixture, changed)).toEqual([])
    expect(await fixture.ask('t', { unsubscribe: ['r/a.mesh'] })).toEqual([])
    const gone = one(await fixture.change({ remove: [ref('t', 'r/a')] }))
    expect(text([gone])).toEqual(['t -r/a'])
    expect(await ack(fixture, gone)).toEqual([])
    expect(text(await ackAll(fixture, await fixture.change({ put: [host] })))).toEqual(['t +r/a=1'])
    expect(await fixture.ask('t', { unsubscribe: ['r/a.local'] })).toEqual([])
    expect(await fixture.change({ put: [{ ...host, body: Buffer.from('3') }] })).toEqual([])
  })

  test('X7 a bodiless answer to an alias is followed by the resource, and by another one that takes the alias', async () => {
    await using fixture = await open()
    const nobody = { ...resource('t', 'r/none'), body: null, aliases: ['r/a.mesh'] }
    fixture.source.apply({ put: [nobody] })
    const sent = await fixture.ask('t', { subscribe: ['r/a.mesh'] })
    expect(text(await ackAll(fixture, sent))).toEqual(['t +r/none=none'])
    const host = { ...resource('t', 'r/a', '1'), aliases: ['r/a.mesh'] }
    const found = await fixture.change({ put: [host], remove: [ref('t', 'r/none')] })
    expect(text(await ackAll(fixture, found))).toEqual(['t +r/a=1 -r/none'])
  })

  test('X7 X10 a version of what an alias resolves to is known again after a reconnect', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [{ ...resource('t', 'r/a', '1'), aliases: ['r/a.mesh'] }] })
    const initialVersions = new Map([['r/a', version(fixture.source, 't', 'r/a')]])
    expect(await fixture.ask('t', { subscribe: ['r/a.mesh'], initialVersions })).toEqual([])
    expect(text(await fixture.ask('t', { subscribe: ['r/a.mesh'] }))).toEqual(['t +r/a=1'])
  })

  test('X10 what matches an initial version is not sent again, what is gone is removed', async () => {
    const source = new MemorySource()
    source.apply({ put: [resource(routeType, 'same'), resource(routeType, 'changed', '2')] })
    await using fixture = await open({ source })
    const initialVersions = new Map([
      ['same', version(source, routeType, 'same')],
      ['changed', 'old'],
      ['gone', 'old'],
      ['not subscribed', 'old'],
    ])
    const names = ['same', 'changed', 'gone', 'new']
    const sent = await fixture.ask(routeType, { subscribe: names, initialVersions })
    expect(text(sent)).toEqual(['R +changed=2 -gone -new'])
    expect(text(await ackAll(fixture, sent))).toHaveLength(1)
    expect(text(await fixture.ask(routeType, { subscribe: ['same'] }))).toEqual(['R +same=1'])
  })

  test('X10 names of a wildcard that are gone are removed', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [cluster('a')] })
    const initialVersions = new Map([
      ['a', version(fixture.source, clusterType, 'a')],
      ['gone', 'old'],
    ])
    expect(text(await fixture.ask(clusterType, { initialVersions }))).toEqual(['C -gone'])
  })

  test('X10 endpoints asked for before clusters are all sent: a cluster is warming', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [cluster('a'), resource(endpointType, 'a')] })
    const initialVersions = new Map([['a', version(fixture.source, endpointType, 'a')]])
    const request = { subscribe: ['a'], initialVersions }
    expect(text(await fixture.ask(endpointType, request))).toEqual(['E +a=1'])
  })

  test('X10 clusters that are never asked for after endpoints are sent unasked, and the late request ACKs them', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [cluster('a'), resource(endpointType, 'a')] })
    await ackAll(
      fixture,
      await fixture.ask(endpointType, { subscribe: ['a'], initialVersions: new Map([['a', 'old']]) }),
    )
    expect(await fixture.wait(19_999)).toEqual([])
    const unasked = await fixture.wait(1)
    expect(text(unasked)).toEqual(['C +a=1', 'E +a=1'])
    const [clusters] = unasked
    const initialVersions = new Map([['a', version(fixture.source, clusterType, 'a')]])
    expect(await fixture.ask(clusterType, { initialVersions, nonce: clusters?.nonce ?? '' })).toEqual([])
  })

  test('X10 the first request of a type may carry the nonce of an old stream', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [cluster('a')] })
    expect(text(await fixture.ask(clusterType, { nonce: 'old', error: 'old' }))).toEqual(['C +a=1'])
    expect(fixture.refusals()).toEqual([])
  })

  test('X11 a client that reconnects with what it has gets nothing', async () => {
    await using before = await sidecar(open, ['a', 'b'])
    const { source } = before
    await using fixture = await open({ source })
    const versions = (typeUrl: string, names: string[]) =>
      new Map(names.map(name => [name, version(source, typeUrl, name)]))
    const requests: [string, string[], string[]][] = [
      [clusterType, [], ['a', 'b']],
      [listenerType, [], ['l']],
      [endpointType, ['a', 'b'], ['a', 'b']],
      [routeType, ['r'], ['r']],
    ]
    for (const [typeUrl, subscribe, held] of requests) {
      expect(await fixture.ask(typeUrl, { subscribe, initialVersions: versions(typeUrl, held) })).toEqual([])
    }
    expect(fixture.settled()).toBe(true)
  })

  test('X12 a first wildcard is answered although there is nothing', async () => {
    await using fixture = await open()
    expect(text(await fixture.ask(clusterType))).toEqual(['C'])
    expect(text(await fixture.ask(listenerType))).toEqual(['L'])
    expect(text(await fixture.ask(listenerType, { subscribe: ['*'] }))).toEqual([])
  })

  test('X13 routes that come before clusters wait for the clusters that they need', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [cluster('a'), cluster('new'), route(['a', 'new'])] })
    expect(
      await fixture.ask(routeType, { subscribe: ['r'], initialVersions: new Map([['r', 'old']]) }),
    ).toEqual([])
    const initialVersions = new Map([['a', version(fixture.source, clusterType, 'a')]])
    const clusters = one(await fixture.ask(clusterType, { initialVersions }))
    expect(text([clusters])).toEqual(['C +new=1'])
    expect(text(await ack(fixture, clusters))).toEqual(['R +r=anew'])
  })

  test('X14 a stale nonce answers nothing, and the subscription changes on it are kept', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [resource(endpointType, 'a'), resource(endpointType, 'b')] })
    const first = one(await fixture.ask(endpointType, { subscribe: ['a'] }))
    expect(await fixture.ask(endpointType, { nonce: 'stale', error: 'no', subscribe: ['b'] })).toEqual([])
    expect(fixture.refusals()).toEqual([])
    expect(text(await ack(fixture, first))).toEqual(['E +b=1'])
  })

  test('X14 error_detail alone makes a NACK, and nothing without a nonce is an answer', async () => {
    await using fixture = await sidecar(open)
    await fixture.change({ put: [resource(endpointType, 'a', '2')] })
    expect(await fixture.ask(endpointType, { error: 'who?' })).toEqual([])
    expect([fixture.refusals(), fixture.settled()]).toEqual([[], false])
  })

  test('X15 one request may ACK and subscribe, or NACK and unsubscribe', async () => {
    await using fixture = await sidecar(open, ['a', 'b'])
    const changed = one(await fixture.change({ put: [resource(endpointType, 'a', '2')] }))
    const acked = await fixture.ask(endpointType, { nonce: changed.nonce, subscribe: ['c'] })
    expect(text(acked)).toEqual(['E -c'])
    await ackAll(fixture, acked)
    const refused = one(await fixture.change({ put: [resource(endpointType, 'a', 'bad')] }))
    expect(
      await fixture.ask(endpointType, { nonce: refused.nonce, error: 'no', unsubscribe: ['a'] }),
    ).toEqual([])
    expect(fixture.refusals()).toEqual([])
  })

  test('X16 each resource of a refused response is sent again alone; what is refused alone waits for a change', async () => {
    await using fixture = await sidecar(open, ['a', 'b', 'c'])
    const all = one(
      await fixture.change({
        put: ['a', 'b', 'c'].map(name => resource(endpointType, name, name === 'b' ? 'bad' : '2')),
      }),
    )
    expect(text([all])).toEqual(['E +a=2 +b=bad +c=2'])
    const a = one(await nack(fixture, all))
    expect(text([a])).toEqual(['E +a=2'])
    const b = one(await ack(fixture, a))
    expect(text([b])).toEqual(['E +b=bad'])
    const c = one(await nack(fixture, b, 'b is bad'))
    expect(text([c])).toEqual(['E +c=2'])
    expect(await ack(fixture, c)).toEqual([])
    const [refusal] = fixture.refusals()
    expect(refusal).toMatchObject({ names: ['b'], message: 'b is bad' })
    expect(text(await fixture.change({ put: [resource(endpointType, 'a', '3')] }))).toEqual(['E +a=3'])
  })

  test('X16 a culprit that changes is sent again alone, and is forgiven when it is ACKed', async () => {
    await using fixture = await sidecar(open, ['a', 'b'])
    await nack(fixture, one(await fixture.change({ put: [resource(endpointType, 'a', 'bad')] })))
    const change = { put: [resource(endpointType, 'b', '2'), resource(endpointType, 'a', '2')] }
    const first = one(await fixture.change(change))
    const second = one(await ack(fixture, first))
    expect(text([first, second]).sort()).toEqual(['E +a=2', 'E +b=2'])
    expect(await ack(fixture, second)).toEqual([])
    expect(fixture.refusals()).toEqual([])
  })

  test('X16 a culprit that changes back to what the client has is forgiven and not sent', async () => {
    await using fixture = await sidecar(open)
    await nack(fixture, one(await fixture.change({ put: [resource(endpointType, 'a', 'bad')] })))
    expect(await fixture.change({ put: [resource(endpointType, 'a', '1')] })).toEqual([])
    expect(fixture.refusals()).toEqual([])
  })

  test('X16 a refused cluster is at once replaced by its last good bytes, followed by its endpoints', async () => {
    await using fixture = await sidecar(open)
    const [bad, endpoints] = await fixture.change({ put: [cluster('a', 'bad')] })
    expect(text([bad, endpoints].flatMap(batch => batch ?? []))).toEqual(['C +a=bad', 'E +a=1'])
    if (bad === undefined || endpoints === undefined) throw new Error('two responses expected')
    await ack(fixture, endpoints)
    const taken = await nack(fixture, bad, 'Error adding/updating cluster(s) a: no')
    expect(text(taken)).toEqual(['C +a=1', 'E +a=1'])
    expect(text(await ackAll(fixture, taken))).toHaveLength(2)
    expect(fixture.refusals()).toMatchObject([{ names: ['a'] }])
  })

  test('X16 a refused new cluster is at once removed, one of another stream stays', async () => {
    await using fresh = await sidecar(open)
    const bad = one(await fresh.change({ put: [cluster('new', 'bad')] }))
    expect(text(await nack(fresh, bad))).toEqual(['C -new'])
    await using returning = await open({ source: fresh.source })
    const sent = one(
      await returning.ask(clusterType, { initialVersions: new Map([['new', 'old']]), subscribe: ['new'] }),
    )
    expect(text([sent])).toEqual(['C +new=bad'])
    expect(await nack(returning, sent)).toEqual([])
  })

  test('X16 of several refused clusters those that Envoy names are taken back, then each is tried alone', async () => {
    await using fixture = await sidecar(open, ['a', 'b'])
    const [both, endpoints] = await fixture.change({ put: [cluster('a', '2'), cluster('b', 'bad')] })
    if (both === undefined || endpoints === undefined) throw new Error('two responses expected')
    await ack(fixture, endpoints)
    const taken = await nack(fixture, both, 'Error adding/updating cluster(s) b: ring hash')
    expect(text(taken)).toEqual(['C +b=1', 'E +b=1'])
    const rest = await ackAll(fixture, taken.slice(1))
    expect(text(rest)).toEqual(['E +b=1'])
    const [taking] = taken
    if (taking === undefined) throw new Error('unreachable')
    expect(text(await ack(fixture, taking))).toEqual(['C +a=2', 'E +a=1'])
  })

  test('X16 clusters that Envoy is silent about are taken back after a while and tried one by one', async () => {
    await using fixture = await sidecar(open, ['a', 'b'])
    const [, endpoints] = await fixture.change({ put: [cluster('a', '2'), cluster('b', 'bad')] })
    if (endpoints === undefined) throw new Error('two responses expected')
    await ack(fixture, endpoints)
    expect(await fixture.wait(15_999)).toEqual([])
    const taken = await fixture.wait(1)
    expect(text(taken)).toEqual(['C +a=1 +b=1', 'E +a=1 +b=1'])
    const [clusters, again] = taken
    if (clusters === undefined || again === undefined) throw new Error('two responses expected')
    await ack(fixture, again)
    expect(text(await ack(fixture, clusters))).toEqual(['C +a=2', 'E +a=1'])
  })

  test('X17 a name is never in one response twice, nor both added and removed', async () => {
    await using fixture = await sidecar(open, ['a', 'b'])
    const first = one(await fixture.change({ put: [resource(endpointType, 'a', '2')] }))
    await fixture.change({ remove: [ref(endpointType, 'b')] })
    await fixture.change({ put: [resource(endpointType, 'b', '3'), resource(endpointType, 'a', '3')] })
    expect(text(await ack(fixture, first))).toEqual(['E +b=3 +a=3'])
  })

  test('X18 what changed back while it could not be sent is not sent', async () => {
    await using fixture = await sidecar(open, ['a', 'b'])
    const waiting = one(await fixture.change({ put: [resource(endpointType, 'a', '2')] }))
    await fixture.change({ put: [resource(endpointType, 'b', '2')] })
    await fixture.change({ put: [resource(endpointType, 'b', '1')] })
    expect(await ack(fixture, waiting)).toEqual([])
  })

  test('X19 one unanswered response per type; changes meanwhile merge to the latest', async () => {
    await using fixture = await sidecar(open, ['a', 'b'])
    const first = one(await fixture.change({ put: [resource(endpointType, 'a', '2')] }))
    expect(await fixture.change({ put: [resource(endpointType, 'a', '3')] })).toEqual([])
    expect(await fixture.change({ put: [resource(endpointType, 'a', '4')] })).toEqual([])
    expect(await fixture.change({ put: [resource(endpointType, 'b', '2')] })).toEqual([])
    expect(text(await fixture.change({ put: [resource(listenerType, 'l', '2')] }))).toEqual(['L +l=2'])
    expect(text(await ack(fixture, first))).toEqual(['E +a=4 +b=2'])
  })

  test('X19 clusters go on after a short time without an ACK, and nothing else waits for it', async () => {
    await using fixture = await sidecar(open, ['a', 'b'])
    const [first] = await fixture.change({ put: [cluster('a', '2')] })
    expect(text(first === undefined ? [] : [first])).toEqual(['C +a=2'])
    expect(await fixture.change({ put: [cluster('a', '3'), cluster('b', '2')] })).toEqual([])
    expect(text(await fixture.change({ put: [resource(listenerType, 'l', '2')] }))).toEqual(['L +l=2'])
    expect(await fixture.wait(99)).toEqual([])
    const second = await fixture.wait(1)
    expect(text(second)).toEqual(['C +a=3 +b=2'])
    // Both ACKs come when the warming ends.
    await ackAll(fixture, [...(first === undefined ? [] : [first]), ...second])
    expect(fixture.settled(clusterType)).toBe(true)
  })

  test('X19 an answer to the newest response about clusters settles the older ones', async () => {
    await using fixture = await sidecar(open, ['a', 'b'])
    await fixture.change({ put: [cluster('a', '2')] })
    await fixture.change({ put: [cluster('b', '2')] })
    const newest = one((await fixture.wait(100)).filter(({ typeUrl }) => typeUrl === clusterType))
    expect(text([newest])).toEqual(['C +b=2'])
    await ack(fixture, newest)
    expect(await fixture.change({ put: [cluster('a', '2')] })).toEqual([])
    expect(text(await fixture.change({ put: [cluster('a')] })).slice(0, 1)).toEqual(['C +a=1'])
  })

  test('X19 a response is cut at its size limit, the rest follows the ACK', async () => {
    await using fixture = await open({ maxResponseBytes: 1000 })
    const big = 'x'.repeat(400)
    fixture.source.apply({ put: ['a', 'b', 'c'].map(name => resource(endpointType, name, big)) })
    const sent = await ackAll(fixture, await fixture.ask(endpointType, { subscribe: ['a', 'b', 'c'] }))
    expect(sent.map(({ resources }) => resources.length)).toEqual([1, 1, 1])
  })

  test('X20 a changed cluster is followed by its unchanged endpoints and secrets, not awaiting the ACK', async () => {
    await using fixture = await sidecar(open, ['a', 'b'])
    fixture.source.apply({ put: [resource(secretType, 's')] })
    await ackAll(fixture, await fixture.ask(secretType, { subscribe: ['s'] }))
    const changed = resource(clusterType, 'a', '2', [ref(endpointType, 'a'), ref(secretType, 's')])
    expect(text(await fixture.change({ put: [changed] }))).toEqual(['C +a=2', 'E +a=1', 'S +s=1'])
  })

  test('X20 endpoints of a cluster that changed before they were asked for are sent although they match', async () => {
    await using fixture = await open()
    const names = ['a', 'b', 'c']
    fixture.source.apply({ put: names.flatMap(name => [cluster(name, '2'), resource(endpointType, name)]) })
    const match = (typeUrl: string, name: string): [string, string] => [
      name,
      version(fixture.source, typeUrl, name),
    ]
    const clusters = await fixture.ask(clusterType, {
      initialVersions: new Map([['a', 'old'], match(clusterType, 'b'), ['c', 'old']]),
    })
    expect(text(clusters)).toEqual(['C +a=2 +c=2'])
    const initialVersions = new Map(names.map(name => match(endpointType, name)))
    expect(text(await fixture.ask(endpointType, { subscribe: names, initialVersions }))).toEqual([
      'E +a=1 +c=1',
    ])
  })

  test('X20 one revision goes out as clusters, endpoints, listeners; a route waits for its new cluster', async () => {
    await using fixture = await sidecar(open)
    await ackAll(fixture, await fixture.ask(endpointType, { subscribe: ['new'] }))
    const sent = await fixture.change({
      put: [
        route(['a', 'new']),
        resource(listenerType, 'l', '2'),
        resource(endpointType, 'new'),
        cluster('new'),
      ],
    })
    expect(text(sent)).toEqual(['C +new=1', 'E +new=1', 'L +l=2'])
    const [clusters, ...others] = sent
    for (const batch of others) expect(await ack(fixture, batch)).toEqual([])
    if (clusters === undefined) throw new Error('unreachable')
    expect(text(await ack(fixture, clusters))).toEqual(['R +r=anew'])
  })

  test('X20 a route that newly names nothing does not wait for clusters', async () => {
    await using fixture = await sidecar(open, ['a', 'b'])
    await fixture.change({ put: [cluster('a', '2')] })
    expect(text(await fixture.change({ put: [route(['a'], 'less')] }))).toEqual(['R +r=less'])
  })

  test('X20 the wait for a cluster ends after the order time', async () => {
    await using fixture = await sidecar(open)
    await fixture.change({ put: [cluster('new'), route(['a', 'new'])] })
    expect(await fixture.wait(19_999)).toEqual([])
    expect(text(await fixture.wait(1))).toEqual(['R +r=anew'])
  })

  test('X20 clusters and endpoints are removed last, after the ACK of the routes that used them', async () => {
    await using fixture = await sidecar(open, ['a', 'b'])
    const routes = one(
      await fixture.change({ put: [route(['a'])], remove: [ref(clusterType, 'b'), ref(endpointType, 'b')] }),
    )
    expect(text([routes])).toEqual(['R +r=a'])
    const clusters = one(await ack(fixture, routes))
    expect(text([clusters])).toEqual(['C -b'])
    expect(text(await ack(fixture, clusters))).toEqual(['E -b'])
  })

  test('X20 a removal goes at once when no route is on its way, and after the order time in any case', async () => {
    await using fixture = await sidecar(open, ['a', 'b', 'c'])
    const removed = one(await fixture.change({ remove: [ref(clusterType, 'b')] }))
    expect(text([removed])).toEqual(['C -b'])
    await ack(fixture, removed)
    await fixture.change({ put: [route(['a'])], remove: [ref(clusterType, 'c')] })
    expect(await fixture.wait(19_999)).toEqual([])
    expect(text(await fixture.wait(1))).toEqual(['C -c'])
  })

  test('X20 after a reconnect a cluster that is gone stays until the routes that may use it were asked for and ACKed', async () => {
    await using fixture = await open()
    fixture.source.apply({ put: [cluster('a'), route(['a'])] })
    const held = (...names: string[]) => ({ initialVersions: new Map(names.map(name => [name, 'old'])) })
    const [clusters] = await fixture.ask(clusterType, held('a', 'gone'))
    expect(text(clusters ? [clusters] : [])).toEqual(['C +a=1'])
    expect(clusters && (await ack(fixture, clusters))).toEqual([])
    const routes = one(await fixture.ask(routeType, { subscribe: ['r'], ...held('r') }))
    expect(text([routes])).toEqual(['R +r=a'])
    expect(text(await ack(fixture, routes))).toEqual(['C -gone'])
  })

  test('X20 a route that turns out unchanged holds no removal back', async () => {
    await using fixture = await sidecar(open, ['a', 'b'])
    const sent = await fixture.change({
      put: [route(['a', 'b'])],
      remove: [ref(clusterType, 'b')],
    })
    expect(text(sent)).toEqual(['C -b'])
  })

  test('X21 removing endpoints is told as a removal, an empty assignment as a resource', async () => {
    await using fixture = await sidecar(open)
    const empty = one(await fixture.change({ put: [resource(endpointType, 'a', '')] }))
    expect(text([empty])).toEqual(['E +a='])
    await ack(fixture, empty)
    expect(text(await fixture.change({ remove: [ref(endpointType, 'a')] }))).toEqual(['E -a'])
  })
})
