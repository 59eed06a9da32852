import type { Answer, Batch } from './batch.ts'
import { BatchDraft } from './batch-draft.ts'
import type { Delivery } from './delivery.ts'
import type { XdsResource } from '../port.ts'
import type { Refusal } from './refusals.ts'
import type { RequestOutcome, Session } from './session.ts'
import type { DeltaRequest } from './xds-request.ts'

/** A resource's heartbeat: its name, version and time to live. The same object for all streams, as the resource. */
export class Heartbeats {
  readonly #known = new WeakMap<XdsResource, XdsResource>()

  of(resource: XdsResource): XdsResource {
    const known = this.#known.get(resource)
    if (known !== undefined) return known
    const { name, version, revision, ttlMs } = resource
    const heartbeat = { name, version, revision, body: null, ...(ttlMs === undefined ? {} : { ttlMs }) }
    this.#known.set(resource, heartbeat)
    return heartbeat
  }
}

interface Beat {
  /** On the monotonic clock, milliseconds; Infinity: nothing to do. */
  dueAt: number
  /** Still to be told. */
  waiting: XdsResource[]
  /** Nonces of heartbeats without an answer, with what they told of. */
  readonly unanswered: Map<string, readonly string[]>
}

/** Unanswered heartbeats of a type; beyond, the client is not told until it answers. */
const maxUnanswered = 3

/**
 * A delta session whose resources hold for a time only (X22): what the client has and what has a TTL is confirmed at a
 * third of it, by the same version without a body. A heartbeat says nothing new, so it neither waits for answers
 * nor holds anything back.
 */
export class HeartbeatSession implements Session<DeltaRequest> {
  readonly #inner: Session<DeltaRequest>
  readonly #heartbeats: Heartbeats
  readonly #maxBytes: number
  readonly #beats = new Map<string, Beat>()
  /** Of the heartbeat that `next` returned last. */
  #beating: Beat | undefined

  constructor(options: { inner: Session<DeltaRequest>; heartbeats: Heartbeats; maxBytes: number }) {
    this.#inner = options.inner
    this.#heartbeats = options.heartbeats
    this.#maxBytes = options.maxBytes
  }

  get deliveries(): readonly Delivery[] {
    return this.#inner.deliveries
  }

  get wakeAt(): number | undefined {
    let at = this.#inner.wakeAt ?? Infinity
    for (const { dueAt } of this.#beats.values()) at = Math.min(at, dueAt)
    return at === Infinity ? undefined : at
  }

  request(message: DeltaRequest, now: number): RequestOutcome {
    const { typeUrl, nonce, error } = message
    const told = this.#beats.get(typeUrl)?.unanswered.get(nonce)
    if (told !== undefined) {
      this.#beats.get(typeUrl)?.unanswered.delete(nonce)
      const outcome = this.#inner.request({ ...message, nonce: '', error: undefined }, now)
      return { ...outcome, answer: this.#answer(told, error, now, outcome.delivery) }
    }
    const outcome = this.#inner.request(message, now)
    // What a returning client has runs out, too.
    if (message.initialVersions.size > 0) this.#expect(typeUrl, outcome.delivery.held.values(), now, 0)
    return outcome
  }

  next(now: number): Batch | undefined {
    const batch = this.#inner.next(now)
    if (batch !== undefined) return batch
    for (const delivery of this.deliveries) {
      const beat = this.#beats.get(delivery.typeUrl)
      if (beat === undefined) continue
      if (now >= beat.dueAt) this.#collect(beat, delivery, now)
      if (beat.waiting.length === 0 || beat.unanswered.size >= maxUnanswered) continue
      this.#beating = beat
      return this.#take(beat, delivery)
    }
    return undefined
  }

  sent(batch: Batch, nonce: string, now: number): void {
    if (this.#beating !== undefined) {
      this.#beating.unanswered.set(
        nonce,
        batch.resources.map(({ name }) => name),
      )
      this.#beating = undefined
      return
    }
    this.#inner.sent(batch, nonce, now)
    this.#expect(batch.typeUrl, batch.resources, now, 1 / 3)
  }

  unstick(now: number): Refusal | undefined {
    return this.#inner.unstick(now)
  }

  assumeClusters(now: number): Delivery | undefined {
    return this.#inner.assumeClusters(now)
  }

  /** Has a heartbeat sent in time, after `share` of the shortest TTL. */
  #expect(typeUrl: string, resources: Iterable<unknown>, now: number, share: number): void {
    const ttlMs = shortestTtl(resources)
    if (ttlMs === undefined) return
    const dueAt = now + ttlMs * share
    const beat = this.#beats.get(typeUrl)
    if (beat === undefined) this.#beats.set(typeUrl, { dueAt, waiting: [], unanswered: new Map() })
    else beat.dueAt = Math.min(beat.dueAt, dueAt)
  }

  /** Everything of the type that the client has, that can run out, and that is not about to be sent anyway. */
  #collect(beat: Beat, delivery: Delivery, now: number): void {
    const current: XdsResource[] = []
    for (const [name, held] of delivery.held) {
      if (!hasTtl(held) || delivery.unanswered.last(name) !== undefined) continue
      if (delivery.current(name)?.version === held.version) current.push(held)
    }
    const known = shortestTtl(current) ?? shortestTtl(unansweredOf(delivery))
    beat.dueAt = known === undefined ? Infinity : now + known / 3
    beat.waiting = current
  }

  #take(beat: Beat, { typeUrl, set }: Delivery): Batch {
    const draft = new BatchDraft(this.#maxBytes)
    let taken = 0
    for (const resource of beat.waiting) {
      if (!draft.add(resource.name, this.#heartbeats.of(resource))) break
      taken += 1
    }
    beat.waiting = beat.waiting.slice(taken)
    const { resources } = draft
    return { typeUrl, version: set.version, resources, removed: [], takesBack: false, revision: 0 }
  }

  #answer(names: readonly string[], error: string | undefined, at: number, delivery: Delivery): Answer {
    if (error === undefined) return 'acked'
    const revision = delivery.current(names[0] ?? '')?.revision ?? 0
    return { names, version: '', message: error.slice(0, 2048), at, revision }
  }
}

const hasTtl = (held: unknown): held is XdsResource & { readonly ttlMs: number } =>
  typeof held === 'object' && held !== null && 'ttlMs' in held && typeof held.ttlMs === 'number'

/** In milliseconds; undefined: none of them runs out. */
function shortestTtl(resources: Iterable<unknown>): number | undefined {
  let shortest = Infinity
  for (const resource of resources) if (hasTtl(resource)) shortest = Math.min(shortest, resource.ttlMs)
  return shortest === Infinity ? undefined : shortest
}

function* unansweredOf({ unanswered }: Delivery): Iterable<unknown> {
  for (const name of unanswered.names()) yield unanswered.last(name)
}
