import { expect, test } from 'vitest'
import { MemorySource } from '../memory-source.ts'
import { testNode } from '../testing/test-node.ts'
import { clusterType } from '../type-urls.ts'
import { DeltaSession } from './delta-session.ts'
import { Heartbeats, HeartbeatSession } from './heartbeat-session.ts'

const ttl = (name: string, ttlMs: number, body = '1') => ({
  typeUrl: clusterType,
  name,
  body: Buffer.from(body),
  ttlMs,
})

/** A session with heartbeats; each response as `name=body ...`, a heartbeat's body as `-`. */
function open(source: MemorySource, maxBytes = 1_000_000) {
  const view = source.open(testNode())
  const session = new HeartbeatSession({
    inner: new DeltaSession({
      setOf: typeUrl => view.set(typeUrl),
      revision: () => source.revision(),
      limits: { maxNames: 100, maxTypes: 8, maxResponseBytes: 1_000_000, maxFirstResponseBytes: 1_000_000 },
      timings: { clusterAnswerMs: 100, clusterStuckMs: 16_000, orderMs: 20_000 },
      aggregated: true,
    }),
    heartbeats: new Heartbeats(),
    maxBytes,
  })
  view.set(clusterType)?.watch(({ names, revision }) => {
    for (const name of names) session.deliveries[0]?.touch(name, revision)
  })
  let now = 0
  let nonce = 0
  const flush = (): string[] => {
    const sent: string[] = []
    for (let batch = session.next(now); batch !== undefined; batch = session.next(now)) {
      nonce += 1
      session.sent(batch, `n${nonce}`, now)
      sent.push(
        batch.resources.map(({ name, body }) => `${name}=${body === null ? '-' : body.toString()}`).join(' '),
      )
    }
    return sent
  }
  const ask = (fields: { nonce?: string; error?: string; initialVersions?: Map<string, string> } = {}) =>
    session.request(
      {
        node: undefined,
        typeUrl: clusterType,
        subscribe: [],
        unsubscribe: [],
        initialVersions: new Map(),
        nonce: '',
        error: undefined,
        ...fields,
      },
      now,
    ).answer
  const wait = (ms: number): string[] => {
    now += ms
    return flush()
  }
  return {
    session,
    flush,
    ask,
    wait,
    ack: (error?: string) => ask({ nonce: `n${nonce}`, ...(error === undefined ? {} : { error }) }),
  }
}

test('X22 what has a TTL is confirmed at a third of it, what has none is not', () => {
  const source = new MemorySource()
  source.apply({ put: [ttl('a', 3_000), { typeUrl: clusterType, name: 'b', body: Buffer.from('1') }] })
  const { session, flush, ask, ack, wait } = open(source)
  ask()
  expect(flush()).toEqual(['a=1 b=1'])
  ack()
  expect(session.wakeAt).toBe(1_000)
  expect(wait(999)).toEqual([])
  expect(wait(1)).toEqual(['a=-'])
  expect(ack()).toBe('acked')
  expect(session.deliveries[0]?.busy).toBe(false)
  expect(wait(1_000)).toEqual(['a=-'])
  expect(ack('no such resource')).toMatchObject({ names: ['a'], message: 'no such resource' })
})

test('X22 a heartbeat holds no change back, and what has changed gets no heartbeat', () => {
  const source = new MemorySource()
  source.apply({ put: [ttl('a', 3_000)] })
  const { flush, ask, ack, wait } = open(source)
  ask()
  flush()
  ack()
  expect(wait(1_000)).toEqual(['a=-'])
  source.apply({ put: [ttl('a', 3_000, '2')] })
  expect(flush()).toEqual(['a=2'])
  expect(wait(1_000)).toEqual([])
  ack()
  expect(wait(1_000)).toEqual(['a=-'])
  source.apply({ remove: [{ typeUrl: clusterType, name: 'a' }] })
  flush()
  ack()
  expect(wait(10_000)).toEqual([])
})

test('X22 a client that does not answer is sent three heartbeats', () => {
  const source = new MemorySource()
  source.apply({ put: [ttl('a', 3_000)] })
  const { flush, ask, ack, wait } = open(source)
  ask()
  flush()
  ack()
  const sent = Array.from({ length: 10 }, () => wait(1_000)).flat()
  expect(sent).toEqual(['a=-', 'a=-', 'a=-'])
  ack()
  expect(wait(1_000)).toEqual(['a=-'])
})

test('X22 what a returning client has is confirmed at once, in responses of bounded size', () => {
  const source = new MemorySource()
  source.apply({ put: [ttl('a', 3_000), ttl('b', 3_000)] })
  const set = source.open(testNode()).set(clusterType)
  const initialVersions = new Map(['a', 'b'].map(name => [name, set?.get(name)?.version ?? '']))
  const { flush, ask } = open(source, 200)
  ask({ initialVersions })
  expect(flush()).toEqual(['a=-', 'b=-'])
})
