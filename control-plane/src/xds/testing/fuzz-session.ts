import * as fc from 'fast-check'
import type { DeltaRequest, MalformedRequest, SotwRequest, XdsRequest } from '../subscription/xds-request.ts'
import { MemorySource } from '../memory-source.ts'
import { DeltaSession } from '../subscription/delta-session.ts'
import type { Delivery } from '../subscription/delivery.ts'
import { SessionError, type Session, type SessionOptions } from '../subscription/session.ts'
import { SharedState } from '../subscription/shared-state.ts'
import { SotwSession } from '../subscription/sotw-session.ts'
import { decodeDeltaRequest, decodeSotwRequest } from '../transport/decode-request.ts'
import { clusterType } from '../type-urls.ts'
import { encodeFuzzRequest, fuzzStep, type Form, type FuzzStep } from './fuzz-messages.ts'
import { FuzzNonces } from './fuzz-nonces.ts'
import { checkAnswered, checkDeltaDecoding, checkSotwDecoding, SubscriptionOracle } from './fuzz-oracles.ts'
import { resource } from './server-fixture.ts'
import { testNode } from './test-node.ts'

const limits = { maxNames: 24, maxTypes: 6, maxResponseBytes: 1_000, maxFirstResponseBytes: 1_000 }
const timings = { clusterAnswerMs: 100, clusterStuckMs: 16_000, orderMs: 20_000 }
/** No answer needs more: whoever writes more of them would never end. */
const maxResponses = 1_000

/** How one form is read, and what the words of the protocol make of its requests. */
interface FuzzedForm<Request extends XdsRequest> {
  decode(bytes: Uint8Array): Request | MalformedRequest
  checkDecoding(bytes: Uint8Array, message: Request): void
  subscribe(oracle: SubscriptionOracle, message: Request, stale: boolean): void
}

const delta: FuzzedForm<DeltaRequest> = {
  decode: bytes => decodeDeltaRequest(bytes, limits),
  checkDecoding: checkDeltaDecoding,
  subscribe: (oracle, message) => {
    oracle.delta(message)
  },
}

const sotw: FuzzedForm<SotwRequest> = {
  decode: bytes => decodeSotwRequest(bytes, limits),
  checkDecoding: checkSotwDecoding,
  subscribe: (oracle, message, stale) => {
    oracle.sotw(message, stale)
  },
}

/** One stream's session with the index that the server keeps for it; the bytes of requests go in. */
class Stream<Request extends XdsRequest> {
  readonly nonces = new FuzzNonces()
  first = true
  readonly #source: MemorySource
  readonly #form: FuzzedForm<Request>
  readonly #session: Session<Request>
  readonly #oracle = new SubscriptionOracle()
  readonly #watched = new Map<Delivery, () => void>()
  #nonces = 0

  constructor(options: { source: MemorySource; form: FuzzedForm<Request>; session: Session<Request> }) {
    this.#source = options.source
    this.#form = options.form
    this.#session = options.session
  }

  /** False: the stream ends with a documented status. Anything but that is thrown. */
  take(bytes: Uint8Array, now: number): boolean {
    const message = this.#form.decode(bytes)
    if ('malformed' in message) return false
    this.#form.checkDecoding(bytes, message)
    if (this.first && (message.node === undefined || message.node.id === '')) return false
    const { typeUrl, nonce } = message
    if (typeUrl === '') return false
    this.first = false
    const before = this.#unanswered(typeUrl)
    const sent = this.nonces.of(typeUrl)
    this.#form.subscribe(this.#oracle, message, nonce !== '' && sent.length > 0 && nonce !== sent.at(-1))
    try {
      const { delivery } = this.#session.request(message, now)
      this.#watch(delivery)
      checkAnswered({ before, nonce, after: this.#unanswered(typeUrl) })
      this.#oracle.check(delivery)
    } catch (error) {
      if (error instanceof SessionError) return false
      throw error
    }
    this.flush(now)
    this.#check()
    return true
  }

  flush(now: number): void {
    this.#session.unstick(now)
    const assumed = this.#session.assumeClusters(now)
    if (assumed !== undefined) this.#watch(assumed)
    for (let count = 0; ; count += 1) {
      if (count > maxResponses) throw new Error('responses without end')
      const batch = this.#session.next(now)
      if (batch === undefined) return
      const names = [...batch.resources.map(({ name }) => name), ...batch.removed]
      if (new Set(names).size < names.length)
        throw new Error(`a name twice in one response: ${names.join(', ')}`)
      this.#nonces += 1
      const nonce = `n${this.#nonces}`
      this.nonces.add(batch.typeUrl, nonce)
      this.#session.sent(batch, nonce, now)
    }
  }

  close(): void {
    for (const unwatch of this.#watched.values()) unwatch()
    for (const { state } of this.#session.deliveries) state.close()
  }

  /** Nonces of the responses of a type that have no answer yet. */
  #unanswered(typeUrl: string): string[] {
    const delivery = this.#session.deliveries.find(each => each.typeUrl === typeUrl)
    return this.nonces.of(typeUrl).filter(nonce => delivery?.unanswered.find(nonce) !== undefined)
  }

  #watch(delivery: Delivery): void {
    if (this.#watched.has(delivery)) return
    const unwatch = delivery.set.watch(({ names, revision }) => {
      const { wildcard, names: subscribed } = delivery.subscription
      for (const name of names) if (wildcard || subscribed.has(name)) delivery.touch(name, revision)
    })
    this.#watched.set(delivery, unwatch)
  }

  /** What a stream keeps is bounded, whatever it was sent. */
  #check(): void {
    const { deliveries } = this.#session
    if (deliveries.length > limits.maxTypes) throw new Error('more types than allowed')
    let names = 0
    for (const { subscription, unanswered, held, changed, set, typeUrl } of deliveries) {
      names += subscription.names.size
      const known = [...set.names()].length
      const most = 2 * (known + limits.maxNames)
      if (unanswered.size > (typeUrl === clusterType ? 16 : 1))
        throw new Error('too many unanswered responses')
      if (held.size > most || changed.size > most) throw new Error('a stream keeps more names than it may')
    }
    if (names > limits.maxNames) throw new Error('more names than allowed')
    if (this.#source.revision() < 0) throw new Error('no revision')
  }
}

/** Whatever a stream is sent, it goes on or ends with a documented status, keeps little, and others have what they should. */
export const fuzzSession = (): fc.IProperty<[Form, FuzzStep[]]> =>
  fc.property(
    fc.constantFrom<Form>('delta', 'sotw'),
    fc.array(fuzzStep, { maxLength: 60, size: 'max' }),
    (form, steps) => {
      const source = new MemorySource()
      const shared = new SharedState({ smallest: 1 })
      const good = new GoodStream(source, shared)
      const open = () => openStream({ form, source, shared })
      let stream = open()
      let now = 0
      for (const step of steps) {
        let goesOn = true
        if (step.do === 'request') {
          const { nonces, first } = stream
          goesOn = stream.take(encodeFuzzRequest(step.request, { form, nonces, first }), now)
        } else if (step.do === 'bytes') {
          goesOn = stream.take(step.bytes, now)
        } else if (step.do === 'wait') {
          now += step.ms
          stream.flush(now)
        } else {
          change(source, step)
          stream.flush(now)
        }
        if (!goesOn) {
          stream.close()
          stream = open()
        }
        good.follow(now)
      }
      stream.close()
      good.compare()
    },
  )

const change = (source: MemorySource, { typeUrl, name, body }: Extract<FuzzStep, { do: 'change' }>): void => {
  if (body === undefined) source.apply({ remove: [{ typeUrl, name }] })
  else source.apply({ put: [resource(typeUrl, name, body)] })
}

function openStream({ form, source, shared }: { form: Form; source: MemorySource; shared: SharedState }) {
  const options = sessionOptions(source, shared)
  return form === 'delta'
    ? new Stream({ source, form: delta, session: new DeltaSession(options) })
    : new Stream({ source, form: sotw, session: new SotwSession(options) })
}

const sessionOptions = (source: MemorySource, shared: SharedState): SessionOptions => {
  const view = source.open(testNode())
  return {
    setOf: typeUrl => view.set(typeUrl),
    revision: () => source.revision(),
    limits,
    timings,
    shared,
    aggregated: true,
  }
}

/** Has all clusters, and answers at once. */
class GoodStream {
  readonly #source: MemorySource
  readonly #session: DeltaSession
  readonly #held = new Map<string, string>()
  #nonces = 0

  constructor(source: MemorySource, shared: SharedState) {
    this.#source = source
    this.#session = new DeltaSession(sessionOptions(source, shared))
    const { delivery } = this.#session.request(this.#request({}), 0)
    delivery.set.watch(({ names, revision }) => {
      for (const name of names) delivery.touch(name, revision)
    })
  }

  follow(now: number): void {
    for (let batch = this.#session.next(now); batch !== undefined; batch = this.#session.next(now)) {
      for (const { name, version } of batch.resources) this.#held.set(name, version)
      for (const name of batch.removed) this.#held.delete(name)
      this.#nonces += 1
      const nonce = `g${this.#nonces}`
      this.#session.sent(batch, nonce, now)
      this.#session.request(this.#request({ nonce }), now)
    }
  }

  compare(): void {
    const clusters = this.#source.open(testNode()).set(clusterType)
    const expected = [...(clusters?.names() ?? [])].map(name => [name, clusters?.get(name)?.version])
    const sorted = (entries: unknown[]): string => JSON.stringify(entries.map(String).sort())
    if (sorted([...this.#held]) !== sorted(expected))
      throw new Error('another stream has not what it should have')
  }

  #request({ nonce = '' }: { nonce?: string }) {
    return {
      node: undefined,
      typeUrl: clusterType,
      subscribe: [],
      unsubscribe: [],
      initialVersions: new Map<string, string>(),
      nonce,
      error: undefined,
    }
  }
}
