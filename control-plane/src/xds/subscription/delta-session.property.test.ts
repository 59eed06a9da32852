import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Batch } from './batch.ts'
import type { DeltaRequest } from './xds-request.ts'
import { DeltaSession } from './delta-session.ts'
import { SharedState } from './shared-state.ts'
import { MemorySource } from '../memory-source.ts'
import { badBody, ModelClient, type Delivered } from '../testing/model-client.ts'
import { testNode } from '../testing/test-node.ts'
import { clusterType, endpointType, listenerType, routeType } from '../type-urls.ts'

const types = [clusterType, endpointType, listenerType, routeType]
const names = ['a', 'b', 'c', 'd']

type Step =
  | { do: 'put'; type: string; names: string[]; body: string; onDemand: boolean }
  | { do: 'remove'; type: string; name: string }
  | { do: 'change'; type: string; subscribe: string[]; unsubscribe: string[] }
  | { do: 'server' | 'client' | 'answer' | 'drain' }
  | { do: 'stale'; type: string; error: boolean }
  | { do: 'tick'; ms: number }
  | { do: 'reconnect'; order: number[] }

const type = fc.constantFrom(...types)
const name = fc.constantFrom(...names)
const list = fc.uniqueArray(fc.constantFrom(...names, '*'), { maxLength: 3 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('put' as const),
      type,
      names: fc.uniqueArray(name, { minLength: 1, maxLength: 4 }),
      body: fc.constantFrom('1', '2', '3', badBody, `${badBody}2`),
      onDemand: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('remove' as const), type, name }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('change' as const), type, subscribe: list, unsubscribe: list }),
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
  readonly #shared = new SharedState({ smallest: 1 })
  readonly source = new MemorySource()
  readonly client = new ModelClient()
  readonly toServer: DeltaRequest[] = []
  readonly toClient: Delivered[] = []
  session = this.#open()
  readonly sent: Batch[] = []
  now = 0
  reconnected = false
  readonly #counted = new WeakMap<object, { readonly edits: number; readonly counts: string }>()
  #nonce = 0
  #parity = 0

  constructor() {
    const view = this.source.open(testNode())
    for (const typeUrl of types) {
      view.set(typeUrl)?.watch(change => {
        const delivery = this.session.deliveries.find(each => each.typeUrl === typeUrl)
        if (delivery === undefined) return
        const { wildcard, names: subscribed } = delivery.subscription
        for (const changed of change.names) {
          if (wildcard || subscribed.has(changed)) delivery.touch(changed, change.revision)
        }
      })
    }
  }

  /** Nothing that a status counts changes without an edit. */
  checkEdits(): void {
    for (const delivery of this.session.deliveries) {
      const { edits, subscription, held } = delivery
      const counts = [subscription.wildcard, subscription.names.size, held.size, held.nulls].join()
      const before = this.#counted.get(delivery)
      if (before?.edits === edits) expect(counts).toBe(before.counts)
      this.#counted.set(delivery, { edits, counts })
    }
  }

  run(next: Step): void {
    switch (next.do) {
      case 'put':
        this.source.apply({
          put: next.names.map(each => ({
            typeUrl: next.type,
            name: each,
            body: Buffer.from(`${next.body} ${next.type === routeType ? each : ''}`),
            onDemand: next.onDemand,
            ...this.#dependsOn(next.type, each),
          })),
        })
        break
      case 'remove':
        this.source.apply({ remove: [{ typeUrl: next.type, name: next.name }] })
        break
      case 'change':
        this.toServer.push(this.client.change(next.type, next.subscribe, next.unsubscribe))
        break
      case 'stale':
        if (this.client.types.get(next.type)?.requested === true) {
          this.toServer.push({
            ...this.client.change(next.type, [], []),
            nonce: 'of another stream',
            error: next.error ? 'stale' : undefined,
          })
        }
        break
      case 'tick':
        this.now += next.ms
        this.#assume()
        break
      case 'reconnect': {
        this.reconnected = true
        this.toServer.length = 0
        this.toClient.length = 0
        this.session = this.#open()
        const order = types.map((_, index) => next.order.indexOf(index))
        this.toServer.push(...this.client.reconnect(typeUrl => order[types.indexOf(typeUrl)] ?? 9))
        break
      }
      case 'drain':
        this.settle(false)
        break
      default:
        this.move(next.do === 'server')
    }
    this.flush()
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
      const answer = this.client.receive(response, each => (each.charCodeAt(0) + parity) % 2 === 0)
      if (answer !== undefined) this.toServer.push(answer)
    }
    this.flush()
    return true
  }

  flush(): void {
    for (let batch = this.session.next(this.now); batch !== undefined; batch = this.session.next(this.now)) {
      this.#checkFlow(batch)
      this.#nonce += 1
      const nonce = `n${this.#nonce}`
      this.session.sent(batch, nonce, this.now)
      this.sent.push(batch)
      this.toClient.push({ batch, nonce })
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

  /** What the client holds, as `type name version`. */
  holds(): Set<string> {
    const held = [...this.client.types].flatMap(([typeUrl, { held }]) =>
      [...held].map(([each, { version }]) => `${typeUrl} ${each} ${version ?? 'unknown'}`),
    )
    return new Set(held)
  }

  #open(): DeltaSession {
    const { source } = this
    const view = source.open(testNode())
    return new DeltaSession({
      setOf: typeUrl => view.set(typeUrl),
      revision: () => source.revision(),
      limits: { maxNames: 100, maxTypes: 9, maxResponseBytes: 400, maxFirstResponseBytes: 400 },
      timings: { clusterAnswerMs: 100, clusterStuckMs: 16_000, orderMs: 20_000 },
      shared: this.#shared,
      aggregated: true,
    })
  }

  #assume(): void {
    this.session.unstick(this.now)
    this.session.assumeClusters(this.now)
  }

  #dependsOn(typeUrl: string, each: string): { dependsOn?: { typeUrl: string; name: string }[] } {
    if (typeUrl === clusterType) return { dependsOn: [{ typeUrl: endpointType, name: each }] }
    if (typeUrl === routeType)
      return { dependsOn: names.map(cluster => ({ typeUrl: clusterType, name: cluster })) }
    return {}
  }

  #checkFlow(batch: Batch): void {
    const delivery = this.session.deliveries.find(({ typeUrl }) => typeUrl === batch.typeUrl)
    if (batch.typeUrl !== clusterType) expect(delivery?.unanswered.size).toBe(0)
  }
}

/** What the client has, against what the source says it should have. */
function compare(world: World): void {
  for (const [typeUrl, held] of world.client.types) {
    if (!held.requested) continue
    const delivery = world.session.deliveries.find(each => each.typeUrl === typeUrl)
    if (delivery === undefined) throw new Error(`${typeUrl} was requested and is not served`)
    const refused = (each: string) => delivery.refusals.find(({ names: [only] }) => only === each)
    for (const each of names) {
      const wanted = delivery.current(each)
      const wantedBody = wanted === undefined ? undefined : Buffer.from(wanted.body ?? []).toString()
      const has = held.held.get(each)?.body
      // Refused on the last stream, so the client named no version of it on this one: the server cannot know.
      if (world.reconnected && wanted === undefined && held.held.get(each)?.version === undefined) continue
      if (wantedBody?.startsWith(badBody) === true) {
        expect(has?.startsWith(badBody)).not.toBe(true)
        expect(refused(each)?.version, `${typeUrl} ${each}`).toBe(wanted?.version)
      } else {
        expect(has, `${typeUrl} ${each}`).toBe(wantedBody)
        expect(refused(each), `${typeUrl} ${each}`).toBeUndefined()
      }
    }
    expect(delivery.subscription.wildcard).toBe(held.wildcard)
    expect(new Set(delivery.subscription.names)).toEqual(held.names)
  }
}

/** Given up while it is on its way to a client that has unsubscribed from a part of it, and takes everything now. */
const givenUpTooSoon: Step[] = [
  { do: 'change', type: clusterType, subscribe: ['d', 'a'], unsubscribe: [] },
  { do: 'drain' },
  { do: 'change', type: clusterType, subscribe: [], unsubscribe: ['a'] },
  { do: 'put', type: clusterType, names: ['d', 'a'], body: '1', onDemand: true },
  { do: 'server' },
  { do: 'tick', ms: 20_000 },
  { do: 'change', type: clusterType, subscribe: ['*'], unsubscribe: [] },
]

/** Given up while it is on its way to a client that takes nothing, then everything; by then it is not for everybody. */
const givenUpInBetween: Step[] = [
  { do: 'change', type: clusterType, subscribe: ['b'], unsubscribe: [] },
  { do: 'drain' },
  { do: 'put', type: clusterType, names: ['b', 'a'], body: '1', onDemand: false },
  { do: 'change', type: clusterType, subscribe: ['*'], unsubscribe: ['b'] },
  { do: 'tick', ms: 100 },
  { do: 'change', type: clusterType, subscribe: [], unsubscribe: ['*'] },
  { do: 'server' },
  { do: 'tick', ms: 20_000 },
  { do: 'put', type: clusterType, names: ['b', 'a'], body: '1', onDemand: true },
  { do: 'change', type: clusterType, subscribe: ['*'], unsubscribe: [] },
]

/** Given up beside another one, and what it is then was refused before: there is nothing to try. */
const refusedBefore: Step[] = [
  { do: 'change', type: clusterType, subscribe: [], unsubscribe: [] },
  { do: 'put', type: clusterType, names: ['a'], body: badBody, onDemand: false },
  { do: 'drain' },
  { do: 'put', type: clusterType, names: ['b', 'a'], body: '1', onDemand: false },
  { do: 'tick', ms: 20_000 },
  { do: 'tick', ms: 50 },
  { do: 'put', type: clusterType, names: ['a'], body: badBody, onDemand: false },
]

/** Taken from a response that was refused for another; then it is refused itself, and removed. */
const takenInPart: Step[] = [
  { do: 'put', type: routeType, names: ['a'], body: badBody, onDemand: false },
  { do: 'put', type: routeType, names: ['c'], body: '1', onDemand: false },
  { do: 'change', type: routeType, subscribe: ['*'], unsubscribe: [] },
  { do: 'server' },
  { do: 'put', type: routeType, names: ['c'], body: badBody, onDemand: false },
  { do: 'drain' },
  { do: 'remove', type: routeType, name: 'c' },
]

/** Clusters that were sent unasked, and ignored, are what the first requests ask for. */
const ignoredUnasked: Step[] = [
  { do: 'put', type: endpointType, names: ['b'], body: '1', onDemand: false },
  { do: 'change', type: endpointType, subscribe: ['b'], unsubscribe: [] },
  { do: 'server' },
  { do: 'client' },
  { do: 'reconnect', order: [0, 3, 1, 2] },
  { do: 'put', type: clusterType, names: ['d', 'a'], body: '1', onDemand: false },
  { do: 'server' },
  { do: 'tick', ms: 20_000 },
  { do: 'client' },
  { do: 'client' },
  { do: 'change', type: clusterType, subscribe: ['a'], unsubscribe: [] },
  { do: 'change', type: clusterType, subscribe: ['*'], unsubscribe: [] },
]

test('X18 X19 X21 any interleaving leaves the client with what the source says', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), steps => {
      const world = new World()
      for (const each of steps) {
        world.run(each)
        world.checkEdits()
      }
      world.settle(true)
      world.checkEdits()
      compare(world)
      for (const { busy, subscription } of world.session.deliveries) {
        if (subscription.started) expect(busy).toBe(false)
      }
      world.flush()
      expect(world.toClient).toEqual([])
    }),
    {
      numRuns: 1000,
      examples: [[givenUpTooSoon], [givenUpInBetween], [refusedBefore], [takenInPart], [ignoredUnasked]],
    },
  )
})

test('X11 X13 a client that reconnects with what it has gets only what it has not', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40, size: 'max' }), steps => {
      const world = new World()
      for (const each of steps) world.run(each)
      world.settle(true)
      const before = world.holds()
      world.sent.length = 0
      world.run({ do: 'reconnect', order: [0, 1, 2, 3] })
      world.settle(true)
      const clusters = world.sent.some(
        ({ typeUrl, resources }) => typeUrl === clusterType && resources.length > 0,
      )
      const clustersAsked = world.client.types.get(clusterType)?.requested === true
      for (const { typeUrl, resources, takesBack } of world.sent) {
        // Endpoints follow a changed cluster, and go to whoever seems to be warming one (X10, X20).
        if (takesBack || (typeUrl === endpointType && (clusters || !clustersAsked))) continue
        const again = resources.map(({ name: each, version }) => `${typeUrl} ${each} ${version}`)
        expect(again.filter(each => before.has(each))).toEqual([])
      }
      compare(world)
    }),
    { numRuns: 1000 },
  )
})
