import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { MemorySource } from '../memory-source.ts'
import { badBody } from '../testing/model-client.ts'
import { SotwModelClient, type DeliveredState } from '../testing/sotw-model-client.ts'
import { testNode } from '../testing/test-node.ts'
import { clusterType, endpointType, hasFullState, listenerType, routeType } from '../type-urls.ts'
import { SotwSession } from './sotw-session.ts'
import type { SotwRequest } from './xds-request.ts'

const types = [clusterType, endpointType, listenerType, routeType]
const names = ['a', 'b', 'c', 'd']

type Step =
  | { do: 'put'; type: string; names: string[]; body: string }
  | { do: 'remove'; type: string; name: string }
  | { do: 'list'; type: string; names: string[] }
  | { do: 'server' | 'client' | 'drain' }
  | { do: 'stale'; type: string; error: boolean }
  | { do: 'tick'; ms: number }
  | { do: 'reconnect'; order: number[] }

const type = fc.constantFrom(...types)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('put' as const),
      type,
      names: fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 4 }),
      body: fc.constantFrom('1', '2', '3', badBody, `${badBody}2`),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('remove' as const), type, name: fc.constantFrom(...names) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('list' as const),
      type,
      names: fc.uniqueArray(fc.constantFrom(...names, '*'), { maxLength: 4 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constantFrom('server' as const, 'client' as const, 'drain' as const) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stale' as const), type, error: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('tick' as const), ms: fc.constantFrom(50, 100, 20_000) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('reconnect' as const),
      order: fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
    }),
  },
)

/** Client, server and the two directions of the wire between them, moved step by step. */
class World {
  readonly source = new MemorySource()
  readonly client = new SotwModelClient()
  readonly toServer: SotwRequest[] = []
  readonly toClient: DeliveredState[] = []
  readonly sent: DeliveredState[] = []
  session = this.#open()
  now = 0
  reconnected = false
  #nonce = 0
  #parity = 0

  constructor() {
    const view = this.source.open(testNode())
    for (const typeUrl of types) {
      view.set(typeUrl)?.watch(change => {
        const delivery = this.session.deliveries.find(each => each.typeUrl === typeUrl)
        if (delivery === undefined) return
        const { wildcard, names: subscribed } = delivery.subscription
        for (const name of change.names) {
          if (wildcard || subscribed.has(name)) delivery.touch(name, change.revision)
        }
      })
    }
  }

  run(next: Step): void {
    switch (next.do) {
      case 'put':
        this.source.apply({
          put: next.names.map(name => ({
            typeUrl: next.type,
            name,
            body: Buffer.from(`${next.body} ${name}`),
            ...dependsOn(next.type, name),
          })),
        })
        break
      case 'remove':
        this.source.apply({ remove: [{ typeUrl: next.type, name: next.name }] })
        break
      case 'list':
        this.toServer.push(this.client.change(next.type, next.names))
        break
      case 'stale': {
        const last = this.client.types.get(next.type)
        if (last?.requested !== true || last.nonce === '') break
        const error = next.error ? 'stale' : undefined
        const listed = [...last.names]
        this.toServer.push({
          node: undefined,
          typeUrl: next.type,
          names: listed,
          version: '',
          nonce: 'n0',
          error,
        })
        break
      }
      case 'tick':
        this.now += next.ms
        this.#assume()
        break
      case 'reconnect':
        this.reconnect(next.order)
        break
      case 'drain':
        this.settle(false)
        break
      default:
        this.move(next.do === 'server')
    }
    this.flush()
  }

  reconnect(places: readonly number[]): void {
    this.reconnected = true
    this.toServer.length = 0
    this.toClient.length = 0
    this.session = this.#open()
    this.toServer.push(...this.client.reconnect(typeUrl => places.indexOf(types.indexOf(typeUrl))))
  }

  /** One message moves in one direction. */
  move(toServer: boolean): boolean {
    if (toServer) {
      const message = this.toServer.shift()
      if (message === undefined) return false
      this.session.request(message, this.now)
    } else {
      const response = this.toClient.shift()
      if (response === undefined) return false
      this.#parity += 1
      const parity = this.#parity
      const answer = this.client.receive(response, name => (name.charCodeAt(0) + parity) % 2 === 0)
      if (answer !== undefined) this.toServer.push(answer)
    }
    this.flush()
    return true
  }

  flush(): void {
    for (let batch = this.session.next(this.now); batch !== undefined; batch = this.session.next(this.now)) {
      this.#nonce += 1
      const nonce = `n${this.#nonce}`
      this.session.sent(batch, nonce, this.now)
      const { typeUrl, resources, version = '' } = batch
      this.toClient.push({ typeUrl, resources, version, nonce })
      this.sent.push({ typeUrl, resources, version, nonce })
    }
  }

  /** Delivers everything in both directions; with `patient`, lets all timers run out too. */
  settle(patient: boolean): void {
    for (let rounds = 0; ; rounds += 1) {
      if (rounds > 1_000) throw new Error('the exchange does not come to an end')
      if (this.move(true) || this.move(false)) continue
      const { wakeAt } = this.session
      if (!patient || wakeAt === undefined) return
      this.now = Math.max(this.now, wakeAt)
      this.#assume()
      this.flush()
    }
  }

  #open(): SotwSession {
    const view = this.source.open(testNode())
    return new SotwSession({
      setOf: typeUrl => view.set(typeUrl),
      revision: () => this.source.revision(),
      limits: { maxNames: 100, maxTypes: 9, maxResponseBytes: 400, maxFirstResponseBytes: 400 },
      timings: { clusterAnswerMs: 100, clusterStuckMs: 16_000, orderMs: 20_000 },
      aggregated: true,
    })
  }

  #assume(): void {
    this.session.unstick(this.now)
    this.session.assumeClusters(this.now)
  }
}

function dependsOn(typeUrl: string, name: string): { dependsOn?: { typeUrl: string; name: string }[] } {
  if (typeUrl === clusterType) return { dependsOn: [{ typeUrl: endpointType, name }] }
  if (typeUrl === routeType) return { dependsOn: names.map(each => ({ typeUrl: clusterType, name: each })) }
  return {}
}

/** What the client has, against what the source says it should have. */
function compare(world: World): void {
  for (const [typeUrl, type] of world.client.types) {
    if (!type.requested) continue
    const delivery = world.session.deliveries.find(each => each.typeUrl === typeUrl)
    if (delivery === undefined) throw new Error(`${typeUrl} was requested and is not served`)
    expect(delivery.subscription.wildcard).toBe(type.wildcard)
    expect(new Set(delivery.subscription.names)).toEqual(type.names)
    for (const name of names) {
      const current = delivery.current(name)
      const wanted = current === undefined ? undefined : Buffer.from(current.body ?? []).toString()
      const has = type.held.get(name)
      // State of the world has no words for these.
      if (wanted === undefined && !hasFullState(typeUrl)) continue
      if (world.reconnected && type.untold.has(name)) continue
      if (wanted?.startsWith(badBody) === true) expect(has?.startsWith(badBody)).not.toBe(true)
      else expect(has, `${typeUrl} ${name}`).toBe(wanted)
    }
  }
}

/** On its way while it is not asked for, and left out of the next state; asked for again before either is answered. */
const leftOut: Step[] = [
  { do: 'put', type: clusterType, names: ['a'], body: '1' },
  { do: 'put', type: clusterType, names: ['b', 'c'], body: `${badBody}2` },
  { do: 'put', type: listenerType, names: ['a'], body: `${badBody}2` },
  { do: 'list', type: clusterType, names: ['c'] },
  { do: 'server' },
  { do: 'list', type: clusterType, names: ['d'] },
  { do: 'tick', ms: 20_000 },
  { do: 'list', type: clusterType, names: ['a', 'b', 'c'] },
  { do: 'list', type: listenerType, names: [] },
]

/** Dropped with the wildcard in a stale request, asked for by name, refused, and then what it was before. */
const droppedBetween: Step[] = [
  { do: 'list', type: endpointType, names: ['*'] },
  { do: 'put', type: endpointType, names: ['a'], body: '1' },
  { do: 'server' },
  { do: 'put', type: endpointType, names: ['a'], body: badBody },
  { do: 'client' },
  { do: 'list', type: endpointType, names: [] },
  { do: 'list', type: endpointType, names: ['a'] },
  { do: 'drain' },
  { do: 'put', type: endpointType, names: ['a'], body: '1' },
]

test(
  'X24 any interleaving leaves a state-of-the-world client with what the source says',
  { timeout: 60_000 },
  () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), steps => {
        const world = new World()
        for (const each of steps) world.run(each)
        world.settle(true)
        compare(world)
        for (const { busy, subscription } of world.session.deliveries) {
          if (subscription.started) expect(busy).toBe(false)
        }
        expect(world.toClient).toEqual([])
      }),
      { numRuns: 2000, examples: [[leftOut], [droppedBetween]] },
    )
  },
)
