import { expect, test } from 'vitest'
import { MemorySource } from '../memory-source.ts'
import { resource } from '../testing/server-fixture.ts'
import { SessionFixture, type SentBatch } from '../testing/session-fixture.ts'
import { testNode } from '../testing/test-node.ts'
import { clusterType, endpointType, listenerType, routeType, secretType } from '../type-urls.ts'

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

/** A sidecar that has clusters, endpoints, a listener and a route, all ACKed. */
function sidecar(names = ['a']): SessionFixture {
  const fixture = new SessionFixture()
  fixture.source.apply({
    put: [
      ...names.flatMap(name => [cluster(name), resource(endpointType, name)]),
      resource(listenerType, 'l'),
      route(names),
    ],
  })
  fixture.ackAll(fixture.ask(clusterType))
  fixture.ackAll(fixture.ask(endpointType, { subscribe: names }))
  fixture.ackAll(fixture.ask(listenerType))
  fixture.ackAll(fixture.ask(routeType, { subscribe: ['r'] }))
  return fixture
}

test('X4 a name unsubscribed under a wildcard is answered: with the resource, or as removed', () => {
  const fixture = new SessionFixture()
  fixture.source.apply({ put: [cluster('a'), { ...cluster('od'), onDemand: true }] })
  fixture.ackAll(fixture.ask(clusterType, { subscribe: ['*', 'a', 'od'] }))
  expect(text(fixture.ask(clusterType, { unsubscribe: ['a', 'od'] }))).toEqual(['C +a=1 -od'])
})

test('X4 any other request that only unsubscribes is not answered', () => {
  const fixture = sidecar()
  expect(fixture.ask(endpointType, { unsubscribe: ['a', 'never'] })).toEqual([])
  expect(fixture.change({ put: [resource(endpointType, 'a', '2')] })).toEqual([])
})

test('X5 a name that is held is sent again when subscribed again, also with its ACK on the way', () => {
  const fixture = sidecar()
  const again = one(fixture.ask(endpointType, { subscribe: ['a'] }))
  expect(text([again])).toEqual(['E +a=1'])
  expect(fixture.ask(endpointType, { subscribe: ['a'] })).toEqual([])
  expect(text(fixture.ack(again))).toEqual(['E +a=1'])
})

test('X5 a name that a wildcard covers is sent again when subscribed by name', () => {
  const fixture = sidecar()
  expect(text(fixture.ask(clusterType, { subscribe: ['a'] }))).toEqual(['C +a=1', 'E +a=1'])
})

test('X6 an unknown name is answered as removed at once and pushed when it appears', () => {
  const fixture = new SessionFixture()
  const answer = one(fixture.ask(endpointType, { subscribe: ['late'] }))
  expect(text([answer])).toEqual(['E -late'])
  expect(fixture.ack(answer)).toEqual([])
  expect(text(fixture.change({ put: [resource(endpointType, 'late')] }))).toEqual(['E +late=1'])
})

test('X7 a name may resolve to a resource of another name, once for all that ask for it', () => {
  const fixture = new SessionFixture()
  const host = { ...resource('t', 'r/a', '1'), aliases: ['r/a.mesh', 'r/a.local'] }
  fixture.source.apply({ put: [host] })
  const asked = ['r/a.mesh', 'r/a.local', 'r/b.mesh']
  const sent = one(fixture.ask('t', { subscribe: asked }))
  expect(text([sent])).toEqual(['t +r/a=1 -r/b.mesh'])
  expect(fixture.ack(sent)).toEqual([])
  const changed = one(fixture.change({ put: [{ ...host, body: Buffer.from('2') }] }))
  expect(text([changed])).toEqual(['t +r/a=2'])
  expect(fixture.ack(changed)).toEqual([])
  expect(fixture.ask('t', { unsubscribe: ['r/a.mesh'] })).toEqual([])
  const gone = one(fixture.change({ remove: [ref('t', 'r/a')] }))
  expect(text([gone])).toEqual(['t -r/a'])
  expect(fixture.ack(gone)).toEqual([])
  expect(text(fixture.ackAll(fixture.change({ put: [host] })))).toEqual(['t +r/a=1'])
  expect(fixture.ask('t', { unsubscribe: ['r/a.local'] })).toEqual([])
  expect(fixture.change({ put: [{ ...host, body: Buffer.from('3') }] })).toEqual([])
})

test('X7 a bodiless answer to an alias is followed by the resource, and by another one that takes the alias', () => {
  const fixture = new SessionFixture()
  const nobody = { ...resource('t', 'r/none'), body: null, aliases: ['r/a.mesh'] }
  fixture.source.apply({ put: [nobody] })
  const sent = fixture.ask('t', { subscribe: ['r/a.mesh'] })
  expect(text(fixture.ackAll(sent))).toEqual(['t +r/none=none'])
  const host = { ...resource('t', 'r/a', '1'), aliases: ['r/a.mesh'] }
  const found = fixture.change({ put: [host], remove: [ref('t', 'r/none')] })
  expect(text(fixture.ackAll(found))).toEqual(['t +r/a=1 -r/none'])
})

test('X7 X10 a version of what an alias resolves to is known again after a reconnect', () => {
  const fixture = new SessionFixture()
  fixture.source.apply({ put: [{ ...resource('t', 'r/a', '1'), aliases: ['r/a.mesh'] }] })
  const initialVersions = new Map([['r/a', version(fixture.source, 't', 'r/a')]])
  expect(fixture.ask('t', { subscribe: ['r/a.mesh'], initialVersions })).toEqual([])
  expect(text(fixture.ask('t', { subscribe: ['r/a.mesh'] }))).toEqual(['t +r/a=1'])
})

test('X10 what matches an initial version is not sent again, what is gone is removed', () => {
  const source = new MemorySource()
  source.apply({ put: [resource(routeType, 'same'), resource(routeType, 'changed', '2')] })
  const fixture = new SessionFixture({ source })
  const initialVersions = new Map([
    ['same', version(source, routeType, 'same')],
    ['changed', 'old'],
    ['gone', 'old'],
    ['not subscribed', 'old'],
  ])
  const names = ['same', 'changed', 'gone', 'new']
  const sent = fixture.ask(routeType, { subscribe: names, initialVersions })
  expect(text(sent)).toEqual(['R +changed=2 -gone -new'])
  expect(text(fixture.ackAll(sent))).toHaveLength(1)
  expect(text(fixture.ask(routeType, { subscribe: ['same'] }))).toEqual(['R +same=1'])
})

test('X10 names of a wildcard that are gone are removed', () => {
  const fixture = new SessionFixture()
  fixture.source.apply({ put: [cluster('a')] })
  const initialVersions = new Map([
    ['a', version(fixture.source, clusterType, 'a')],
    ['gone', 'old'],
  ])
  expect(text(fixture.ask(clusterType, { initialVersions }))).toEqual(['C -gone'])
})

test('X10 endpoints asked for before clusters are all sent: a cluster is warming', () => {
  const fixture = new SessionFixture()
  fixture.source.apply({ put: [cluster('a'), resource(endpointType, 'a')] })
  const initialVersions = new Map([['a', version(fixture.source, endpointType, 'a')]])
  const request = { subscribe: ['a'], initialVersions }
  expect(text(fixture.ask(endpointType, request))).toEqual(['E +a=1'])
})

test('X10 clusters that are never asked for after endpoints are sent unasked, and the late request ACKs them', () => {
  const fixture = new SessionFixture()
  fixture.source.apply({ put: [cluster('a'), resource(endpointType, 'a')] })
  fixture.ackAll(fixture.ask(endpointType, { subscribe: ['a'], initialVersions: new Map([['a', 'old']]) }))
  expect(fixture.wait(19_999)).toEqual([])
  const unasked = fixture.wait(1)
  expect(text(unasked)).toEqual(['C +a=1', 'E +a=1'])
  const [clusters] = unasked
  const initialVersions = new Map([['a', version(fixture.source, clusterType, 'a')]])
  expect(fixture.ask(clusterType, { initialVersions, nonce: clusters?.nonce ?? '' })).toEqual([])
})

test('X10 the first request of a type may carry the nonce of an old stream', () => {
  const fixture = new SessionFixture()
  fixture.source.apply({ put: [cluster('a')] })
  const outcome = fixture.request(clusterType, { nonce: 'old', error: 'old' })
  expect(outcome.answer).toBe('stale')
  expect(text(fixture.flush())).toEqual(['C +a=1'])
})

test('X11 a client that reconnects with what it has gets nothing', () => {
  const { source } = sidecar(['a', 'b'])
  const fixture = new SessionFixture({ source })
  const versions = (typeUrl: string, names: string[]) =>
    new Map(names.map(name => [name, version(source, typeUrl, name)]))
  const requests: [string, string[], string[]][] = [
    [clusterType, [], ['a', 'b']],
    [listenerType, [], ['l']],
    [endpointType, ['a', 'b'], ['a', 'b']],
    [routeType, ['r'], ['r']],
  ]
  for (const [typeUrl, subscribe, held] of requests) {
    expect(fixture.ask(typeUrl, { subscribe, initialVersions: versions(typeUrl, held) })).toEqual([])
  }
  for (const { busy } of fixture.session.deliveries) expect(busy).toBe(false)
})

test('X12 a first wildcard is answered although there is nothing', () => {
  const fixture = new SessionFixture()
  expect(text(fixture.ask(clusterType))).toEqual(['C'])
  expect(text(fixture.ask(listenerType))).toEqual(['L'])
  expect(text(fixture.ask(listenerType, { subscribe: ['*'] }))).toEqual([])
})

test('X13 routes that come before clusters wait for the clusters that they need', () => {
  const fixture = new SessionFixture()
  fixture.source.apply({ put: [cluster('a'), cluster('new'), route(['a', 'new'])] })
  expect(fixture.ask(routeType, { subscribe: ['r'], initialVersions: new Map([['r', 'old']]) })).toEqual([])
  const initialVersions = new Map([['a', version(fixture.source, clusterType, 'a')]])
  const clusters = one(fixture.ask(clusterType, { initialVersions }))
  expect(text([clusters])).toEqual(['C +new=1'])
  expect(text(fixture.ack(clusters))).toEqual(['R +r=anew'])
})

test('X14 a stale nonce answers nothing, and the subscription changes on it are kept', () => {
  const fixture = new SessionFixture()
  fixture.source.apply({ put: [resource(endpointType, 'a'), resource(endpointType, 'b')] })
  const first = one(fixture.ask(endpointType, { subscribe: ['a'] }))
  const outcome = fixture.request(endpointType, { nonce: 'stale', error: 'no', subscribe: ['b'] })
  expect(outcome.answer).toBe('stale')
  expect(fixture.flush()).toEqual([])
  expect(text(fixture.ack(first))).toEqual(['E +b=1'])
})

test('X14 error_detail alone makes a NACK, and nothing without a nonce is an answer', () => {
  const fixture = sidecar()
  fixture.change({ put: [resource(endpointType, 'a', '2')] })
  expect(fixture.request(endpointType, { error: 'who?' }).answer).toBeUndefined()
  expect(fixture.session.deliveries.some(({ unanswered }) => unanswered.size === 1)).toBe(true)
})

test('X15 one request may ACK and subscribe, or NACK and unsubscribe', () => {
  const fixture = sidecar(['a', 'b'])
  const changed = one(fixture.change({ put: [resource(endpointType, 'a', '2')] }))
  const acked = fixture.ask(endpointType, { nonce: changed.nonce, subscribe: ['c'] })
  expect(text(acked)).toEqual(['E -c'])
  fixture.ackAll(acked)
  const refused = one(fixture.change({ put: [resource(endpointType, 'a', 'bad')] }))
  expect(fixture.ask(endpointType, { nonce: refused.nonce, error: 'no', unsubscribe: ['a'] })).toEqual([])
  expect(fixture.session.deliveries.flatMap(({ refusals }) => refusals)).toEqual([])
})

test('X16 each resource of a refused response is sent again alone; what is refused alone waits for a change', () => {
  const fixture = sidecar(['a', 'b', 'c'])
  const all = one(
    fixture.change({
      put: ['a', 'b', 'c'].map(name => resource(endpointType, name, name === 'b' ? 'bad' : '2')),
    }),
  )
  expect(text([all])).toEqual(['E +a=2 +b=bad +c=2'])
  const a = one(fixture.nack(all))
  expect(text([a])).toEqual(['E +a=2'])
  const b = one(fixture.ack(a))
  expect(text([b])).toEqual(['E +b=bad'])
  const c = one(fixture.nack(b, 'b is bad'))
  expect(text([c])).toEqual(['E +c=2'])
  expect(fixture.ack(c)).toEqual([])
  const [refusal] = fixture.session.deliveries.flatMap(({ refusals }) => refusals)
  expect(refusal).toMatchObject({ names: ['b'], message: 'b is bad' })
  expect(text(fixture.change({ put: [resource(endpointType, 'a', '3')] }))).toEqual(['E +a=3'])
})

test('X16 a culprit that changes is sent again alone, and is forgiven when it is ACKed', () => {
  const fixture = sidecar(['a', 'b'])
  fixture.nack(one(fixture.change({ put: [resource(endpointType, 'a', 'bad')] })))
  const change = { put: [resource(endpointType, 'b', '2'), resource(endpointType, 'a', '2')] }
  const first = one(fixture.change(change))
  const second = one(fixture.ack(first))
  expect(text([first, second]).sort()).toEqual(['E +a=2', 'E +b=2'])
  expect(fixture.ack(second)).toEqual([])
  expect(fixture.session.deliveries.flatMap(({ refusals }) => refusals)).toEqual([])
})

test('X16 a culprit that changes back to what the client has is forgiven and not sent', () => {
  const fixture = sidecar()
  fixture.nack(one(fixture.change({ put: [resource(endpointType, 'a', 'bad')] })))
  expect(fixture.change({ put: [resource(endpointType, 'a', '1')] })).toEqual([])
  expect(fixture.session.deliveries.flatMap(({ refusals }) => refusals)).toEqual([])
})

test('X16 a refused cluster is at once replaced by its last good bytes, followed by its endpoints', () => {
  const fixture = sidecar()
  const [bad, endpoints] = fixture.change({ put: [cluster('a', 'bad')] })
  expect(text([bad, endpoints].flatMap(batch => batch ?? []))).toEqual(['C +a=bad', 'E +a=1'])
  if (bad === undefined || endpoints === undefined) throw new Error('two responses expected')
  fixture.ack(endpoints)
  const taken = fixture.nack(bad, 'Error adding/updating cluster(s) a: no')
  expect(text(taken)).toEqual(['C +a=1', 'E +a=1'])
  expect(text(fixture.ackAll(taken))).toHaveLength(2)
  expect(fixture.session.deliveries[0]?.refusals).toMatchObject([{ names: ['a'] }])
})

test('X16 a refused new cluster is at once removed, one of another stream stays', () => {
  const fresh = sidecar()
  const bad = one(fresh.change({ put: [cluster('new', 'bad')] }))
  expect(text(fresh.nack(bad))).toEqual(['C -new'])
  const returning = new SessionFixture({ source: fresh.source })
  const sent = one(
    returning.ask(clusterType, { initialVersions: new Map([['new', 'old']]), subscribe: ['new'] }),
  )
  expect(text([sent])).toEqual(['C +new=bad'])
  expect(returning.nack(sent)).toEqual([])
})

test('X16 of several refused clusters those that Envoy names are taken back, then each is tried alone', () => {
  const fixture = sidecar(['a', 'b'])
  const [both, endpoints] = fixture.change({ put: [cluster('a', '2'), cluster('b', 'bad')] })
  if (both === undefined || endpoints === undefined) throw new Error('two responses expected')
  fixture.ack(endpoints)
  const taken = fixture.nack(both, 'Error adding/updating cluster(s) b: ring hash')
  expect(text(taken)).toEqual(['C +b=1', 'E +b=1'])
  const rest = fixture.ackAll(taken.slice(1))
  expect(text(rest)).toEqual(['E +b=1'])
  const [taking] = taken
  if (taking === undefined) throw new Error('unreachable')
  expect(text(fixture.ack(taking))).toEqual(['C +a=2', 'E +a=1'])
})

test('X16 clusters that Envoy is silent about are taken back after a while and tried one by one', () => {
  const fixture = sidecar(['a', 'b'])
  const [, endpoints] = fixture.change({ put: [cluster('a', '2'), cluster('b', 'bad')] })
  if (endpoints === undefined) throw new Error('two responses expected')
  fixture.ack(endpoints)
  expect(fixture.wait(15_999)).toEqual([])
  const taken = fixture.wait(1)
  expect(text(taken)).toEqual(['C +a=1 +b=1', 'E +a=1 +b=1'])
  const [clusters, again] = taken
  if (clusters === undefined || again === undefined) throw new Error('two responses expected')
  fixture.ack(again)
  expect(text(fixture.ack(clusters))).toEqual(['C +a=2', 'E +a=1'])
})

test('X17 a name is never in one response twice, nor both added and removed', () => {
  const fixture = sidecar(['a', 'b'])
  fixture.change({ put: [resource(endpointType, 'a', '2')] })
  fixture.change({ remove: [ref(endpointType, 'b')] })
  fixture.change({ put: [resource(endpointType, 'b', '3'), resource(endpointType, 'a', '3')] })
  const [delivery] = fixture.session.deliveries.filter(({ typeUrl }) => typeUrl === endpointType)
  const nonce = delivery?.unanswered.oldest?.nonce ?? ''
  expect(text(fixture.ask(endpointType, { nonce }))).toEqual(['E +b=3 +a=3'])
})

test('X18 what changed back while it could not be sent is not sent', () => {
  const fixture = sidecar(['a', 'b'])
  const waiting = one(fixture.change({ put: [resource(endpointType, 'a', '2')] }))
  fixture.change({ put: [resource(endpointType, 'b', '2')] })
  fixture.change({ put: [resource(endpointType, 'b', '1')] })
  expect(fixture.ack(waiting)).toEqual([])
})

test('X19 one unanswered response per type; changes meanwhile merge to the latest', () => {
  const fixture = sidecar(['a', 'b'])
  const first = one(fixture.change({ put: [resource(endpointType, 'a', '2')] }))
  expect(fixture.change({ put: [resource(endpointType, 'a', '3')] })).toEqual([])
  expect(fixture.change({ put: [resource(endpointType, 'a', '4')] })).toEqual([])
  expect(fixture.change({ put: [resource(endpointType, 'b', '2')] })).toEqual([])
  expect(text(fixture.change({ put: [resource(listenerType, 'l', '2')] }))).toEqual(['L +l=2'])
  expect(text(fixture.ack(first))).toEqual(['E +a=4 +b=2'])
})

test('X19 clusters go on after a short time without an ACK, and nothing else waits for it', () => {
  const fixture = sidecar(['a', 'b'])
  const [first] = fixture.change({ put: [cluster('a', '2')] })
  expect(text(first === undefined ? [] : [first])).toEqual(['C +a=2'])
  expect(fixture.change({ put: [cluster('a', '3'), cluster('b', '2')] })).toEqual([])
  expect(text(fixture.change({ put: [resource(listenerType, 'l', '2')] }))).toEqual(['L +l=2'])
  expect(fixture.wait(99)).toEqual([])
  const second = fixture.wait(1)
  expect(text(second)).toEqual(['C +a=3 +b=2'])
  // Both ACKs come when the warming ends.
  fixture.ackAll([...(first === undefined ? [] : [first]), ...second])
  expect(fixture.session.deliveries[0]?.busy).toBe(false)
})

test('X19 an answer to the newest response about clusters settles the older ones', () => {
  const fixture = sidecar(['a', 'b'])
  fixture.change({ put: [cluster('a', '2')] })
  fixture.change({ put: [cluster('b', '2')] })
  const newest = one(fixture.wait(100).filter(({ typeUrl }) => typeUrl === clusterType))
  expect(text([newest])).toEqual(['C +b=2'])
  fixture.ack(newest)
  const [clusters] = fixture.session.deliveries
  expect(clusters?.held.get('a')).toMatchObject({ version: version(fixture.source, clusterType, 'a') })
  expect(clusters?.busy).toBe(false)
})

test('X19 a long silence about clusters costs bounded memory', () => {
  const fixture = sidecar()
  const sent = Array.from({ length: 100 }, (_, index) => {
    const changed = fixture.change({ put: [cluster('a', `v${index}`)] })
    return [...changed, ...fixture.wait(100)]
  }).flat()
  const clusters = sent.filter(({ typeUrl }) => typeUrl === clusterType)
  expect(clusters.length).toBeGreaterThan(90)
  expect(fixture.session.deliveries[0]?.unanswered.size).toBeLessThanOrEqual(16)
  fixture.ackAll(clusters)
  expect(fixture.session.deliveries[0]?.busy).toBe(false)
})

test('X19 a response is cut at its size limit, the rest follows the ACK', () => {
  const fixture = new SessionFixture({ limits: { maxResponseBytes: 1000 } })
  const big = 'x'.repeat(400)
  fixture.source.apply({ put: ['a', 'b', 'c'].map(name => resource(endpointType, name, big)) })
  const sent = fixture.ackAll(fixture.ask(endpointType, { subscribe: ['a', 'b', 'c'] }))
  expect(sent.map(({ resources }) => resources.length)).toEqual([1, 1, 1])
})

test('X20 a changed cluster is followed by its unchanged endpoints and secrets, not awaiting the ACK', () => {
  const fixture = sidecar(['a', 'b'])
  fixture.source.apply({ put: [resource(secretType, 's')] })
  fixture.ackAll(fixture.ask(secretType, { subscribe: ['s'] }))
  const changed = resource(clusterType, 'a', '2', [ref(endpointType, 'a'), ref(secretType, 's')])
  expect(text(fixture.change({ put: [changed] }))).toEqual(['C +a=2', 'E +a=1', 'S +s=1'])
})

test('X20 endpoints of a cluster that changed before they were asked for are sent although they match', () => {
  const fixture = new SessionFixture()
  const names = ['a', 'b', 'c']
  fixture.source.apply({ put: names.flatMap(name => [cluster(name, '2'), resource(endpointType, name)]) })
  const match = (typeUrl: string, name: string): [string, string] => [
    name,
    version(fixture.source, typeUrl, name),
  ]
  const clusters = fixture.ask(clusterType, {
    initialVersions: new Map([['a', 'old'], match(clusterType, 'b'), ['c', 'old']]),
  })
  expect(text(clusters)).toEqual(['C +a=2 +c=2'])
  const initialVersions = new Map(names.map(name => match(endpointType, name)))
  expect(text(fixture.ask(endpointType, { subscribe: names, initialVersions }))).toEqual(['E +a=1 +c=1'])
})

test('X20 one revision goes out as clusters, endpoints, listeners; a route waits for its new cluster', () => {
  const fixture = sidecar()
  fixture.ackAll(fixture.ask(endpointType, { subscribe: ['new'] }))
  const sent = fixture.change({
    put: [
      route(['a', 'new']),
      resource(listenerType, 'l', '2'),
      resource(endpointType, 'new'),
      cluster('new'),
    ],
  })
  expect(text(sent)).toEqual(['C +new=1', 'E +new=1', 'L +l=2'])
  const [clusters, ...others] = sent
  for (const batch of others) expect(fixture.ack(batch)).toEqual([])
  if (clusters === undefined) throw new Error('unreachable')
  expect(text(fixture.ack(clusters))).toEqual(['R +r=anew'])
})

test('X20 a route that newly names nothing does not wait for clusters', () => {
  const fixture = sidecar(['a', 'b'])
  fixture.change({ put: [cluster('a', '2')] })
  expect(text(fixture.change({ put: [route(['a'], 'less')] }))).toEqual(['R +r=less'])
})

test('X20 the wait for a cluster ends after the order time', () => {
  const fixture = sidecar()
  fixture.change({ put: [cluster('new'), route(['a', 'new'])] })
  expect(fixture.session.wakeAt).toBe(16_000)
  expect(fixture.wait(19_999)).toEqual([])
  expect(fixture.session.wakeAt).toBe(20_000)
  expect(text(fixture.wait(1))).toEqual(['R +r=anew'])
})

test('X20 clusters and endpoints are removed last, after the ACK of the routes that used them', () => {
  const fixture = sidecar(['a', 'b'])
  const routes = one(
    fixture.change({ put: [route(['a'])], remove: [ref(clusterType, 'b'), ref(endpointType, 'b')] }),
  )
  expect(text([routes])).toEqual(['R +r=a'])
  const clusters = one(fixture.ack(routes))
  expect(text([clusters])).toEqual(['C -b'])
  expect(text(fixture.ack(clusters))).toEqual(['E -b'])
})

test('X20 a removal goes at once when no route is on its way, and after the order time in any case', () => {
  const fixture = sidecar(['a', 'b', 'c'])
  const removed = one(fixture.change({ remove: [ref(clusterType, 'b')] }))
  expect(text([removed])).toEqual(['C -b'])
  fixture.ack(removed)
  fixture.change({ put: [route(['a'])], remove: [ref(clusterType, 'c')] })
  expect(fixture.wait(19_999)).toEqual([])
  expect(text(fixture.wait(1))).toEqual(['C -c'])
})

test('X20 after a reconnect a cluster that is gone stays until the routes that may use it were asked for and ACKed', () => {
  const fixture = new SessionFixture()
  fixture.source.apply({ put: [cluster('a'), route(['a'])] })
  const held = (...names: string[]) => ({ initialVersions: new Map(names.map(name => [name, 'old'])) })
  const [clusters] = fixture.ask(clusterType, held('a', 'gone'))
  expect(text(clusters ? [clusters] : [])).toEqual(['C +a=1'])
  expect(clusters && fixture.ack(clusters)).toEqual([])
  const routes = one(fixture.ask(routeType, { subscribe: ['r'], ...held('r') }))
  expect(text([routes])).toEqual(['R +r=a'])
  expect(text(fixture.ack(routes))).toEqual(['C -gone'])
})

test('X20 a route that turns out unchanged holds no removal back', () => {
  const fixture = sidecar(['a', 'b'])
  const sent = fixture.change({
    put: [route(['a', 'b'])],
    remove: [ref(clusterType, 'b')],
  })
  expect(text(sent)).toEqual(['C -b'])
})

test('X21 removing endpoints is told as a removal, an empty assignment as a resource', () => {
  const fixture = sidecar()
  const empty = one(fixture.change({ put: [resource(endpointType, 'a', '')] }))
  expect(text([empty])).toEqual(['E +a='])
  fixture.ack(empty)
  expect(text(fixture.change({ remove: [ref(endpointType, 'a')] }))).toEqual(['E -a'])
})

test('a stream may neither subscribe to too many names nor open too many types', () => {
  const names = new SessionFixture({ limits: { maxNames: 2 } })
  names.ask(endpointType, { subscribe: ['a', 'b'] })
  expect(() => names.ask(routeType, { subscribe: ['c'] })).toThrow('more than 2 resource names')
  const types = new SessionFixture({ limits: { maxTypes: 1 } })
  types.ask(endpointType)
  expect(() => types.ask(routeType)).toThrow('more than 1 resource types')
})
