import type { Answer, Batch } from './batch.ts'
import { contentVersion } from './content-version.ts'
import { DeltaSession } from './delta-session.ts'
import type { Delivery } from './delivery.ts'
import type { ResourceSet, XdsResource } from '../port.ts'
import type { Refusal } from './refusals.ts'
import type { RequestOutcome, Session, SessionOptions } from './session.ts'
import { SotwNames } from './sotw-names.ts'
import type { Subscription, SubscriptionActions } from './subscription.ts'
import type { SotwRequest } from './xds-request.ts'
import { hasFullState, hasLegacyWildcard } from '../type-urls.ts'

interface SotwType {
  readonly delivery: Delivery
  readonly names: SotwNames
  /** Of the last response; undefined: none yet. */
  nonce: string | undefined
  /** The client has taken a response, or said that it has what there is. */
  taken: boolean
}

const noActions: SubscriptionActions = { wildcard: undefined, added: [], again: [], dropped: [] }
const noVersions: ReadonlyMap<string, string> = new Map()

/** Stands for the answer to what state of the world has no words for: that a resource is gone. */
const silentNonce = ''

/**
 * All types of one state-of-the-world stream (X24): a delta session with another way of saying the same. A request's list
 * of names is compared with the last one; a batch of changes goes out as the full state for listeners and clusters
 * (what the client has, with the changes in it), for all other types as the changed resources alone. So order,
 * merging, limits and the handling of refusals are those of delta.
 *
 * The names of a request count only if it answers the last response of its type, or none.
 */
export class SotwSession implements Session<SotwRequest> {
  readonly #delta: DeltaSession
  readonly #setOf: (typeUrl: string) => ResourceSet | undefined
  readonly #types = new Map<string, SotwType>()
  /** The changes behind the response that `next` returned last. */
  #next: Batch | undefined

  constructor(options: SessionOptions) {
    this.#delta = new DeltaSession(options)
    this.#setOf = options.setOf
  }

  get deliveries(): readonly Delivery[] {
    return this.#delta.deliveries
  }

  get wakeAt(): number | undefined {
    return this.#delta.wakeAt
  }

  request(message: SotwRequest, now: number): RequestOutcome {
    const { node, typeUrl, nonce, error } = message
    const known = this.#types.get(typeUrl)
    if (known !== undefined && isStale(known, nonce)) {
      const { delivery } = known
      known.names.doubt(message.names)
      return this.#answered({ delivery, actions: noActions, answer: delivery.answer(nonce, error, now) })
    }
    const names = known?.names ?? new SotwNames({ legacy: hasLegacyWildcard(typeUrl) })
    const lists = names.update(message.names)
    const initialVersions = known === undefined ? this.#matching(message, names) : noVersions
    const outcome = this.#delta.request({ node, typeUrl, ...lists, initialVersions, nonce, error }, now)
    if (known !== undefined) return this.#answered(outcome)
    const { delivery } = outcome
    this.#types.set(typeUrl, { delivery, names, nonce: undefined, taken: initialVersions.size > 0 })
    return outcome
  }

  next(now: number): Batch | undefined {
    for (;;) {
      const batch = this.#delta.next(now)
      if (batch === undefined) return undefined
      const delivery = this.deliveries.find(({ typeUrl }) => typeUrl === batch.typeUrl)
      if (delivery === undefined) return undefined
      const full = hasFullState(batch.typeUrl)
      const response = full ? fullState(delivery, batch) : changes(batch)
      if (response !== undefined) {
        this.#next = full ? withUnanswered(delivery, batch) : batch
        return response
      }
      this.#delta.sent(batch, silentNonce, now)
      delivery.answer(silentNonce, undefined, now)
    }
  }

  sent({ typeUrl }: Batch, nonce: string, now: number): void {
    if (this.#next === undefined) return
    this.#delta.sent(this.#next, nonce, now)
    this.#next = undefined
    const type = this.#types.get(typeUrl)
    if (type !== undefined) type.nonce = nonce
  }

  unstick(now: number): Refusal | undefined {
    return this.#delta.unstick(now)
  }

  assumeClusters(now: number): Delivery | undefined {
    return this.#delta.assumeClusters(now)
  }

  /**
   * A client whose first state was refused may go on with what it has of an earlier stream: it is sent the state
   * without what it refused.
   */
  #answered(outcome: RequestOutcome): RequestOutcome {
    const { delivery, answer } = outcome
    const type = this.#types.get(delivery.typeUrl)
    if (type === undefined) return outcome
    if (answer === 'acked') type.taken = true
    else if (isRefusal(answer) && !type.taken && hasFullState(delivery.typeUrl)) {
      delivery.owesResponse ||= answer.names.length > 0
    }
    return outcome
  }

  /**
   * The current versions of a type, if a returning client names the version of just this content (X11). For an empty
   * list only, which has never been anything but a wildcard. Whether a client still has what it asks for by name, or by
   * a `*` that may have been away in between, the version cannot tell.
   */
  #matching({ typeUrl, version, names }: SotwRequest, { wildcard }: SotwNames): ReadonlyMap<string, string> {
    const set = this.#setOf(typeUrl)
    if (set === undefined || version === '' || !wildcard || names.length > 0) return noVersions
    const current: XdsResource[] = []
    for (const name of set.names()) {
      const resource = set.get(name)
      if (resource !== undefined && resource.body !== null) current.push(resource)
    }
    if (version !== (set.version ?? contentVersion(current))) return noVersions
    return new Map(current.map(resource => [resource.name, resource.version]))
  }
}

const isStale = (type: SotwType, nonce: string): boolean =>
  nonce !== '' && type.nonce !== undefined && nonce !== type.nonce

const isRefusal = (answer: Answer | undefined): answer is Refusal => typeof answer === 'object'

/**
 * A full state also says all that was said before and has no answer yet: it is refused for that too. What the client does
 * not ask for any more it leaves out.
 */
function withUnanswered({ unanswered, subscription }: Delivery, batch: Batch): Batch {
  if (unanswered.size === 0) return batch
  const said = new Set([...batch.resources.map(({ name }) => name), ...batch.removed])
  const resources = [...batch.resources]
  const removed = [...batch.removed]
  for (const name of unanswered.names()) {
    if (said.has(name)) continue
    const resource = unanswered.last(name)
    if (resource && isWanted(subscription, name)) resources.push(resource)
    else removed.push(name)
  }
  return { ...batch, resources, removed }
}

/** The changed resources; undefined: nothing that could be said. */
function changes(batch: Batch): Batch | undefined {
  const resources = batch.resources.filter(({ body }) => body !== null)
  if (resources.length === 0 && batch.resources.length + batch.removed.length > 0) return undefined
  return { ...batch, resources, removed: [], version: batch.version ?? contentVersion(resources) }
}

/** What the client has, with the changes of the batch in it. */
function fullState(delivery: Delivery, batch: Batch): Batch {
  const state = new Map<string, XdsResource>()
  for (const resource of holdings(delivery)) state.set(resource.name, resource)
  for (const resource of batch.resources) state.set(resource.name, resource)
  for (const name of batch.removed) state.delete(name)
  const resources = [...state.values()].filter(({ body }) => body !== null)
  return { ...batch, resources, removed: [], version: batch.version ?? contentVersion(resources) }
}

/** What the client has once it has taken everything that is on its way. */
function* holdings({ held, unanswered, subscription }: Delivery): Iterable<XdsResource> {
  for (const [name, resource] of held) {
    if (typeof resource !== 'object' || resource === null) continue
    if (unanswered.last(name) === undefined) yield resource
  }
  for (const name of unanswered.names()) {
    const resource = unanswered.last(name)
    if (resource && isWanted(subscription, name)) yield resource
  }
}

const isWanted = ({ wildcard, names }: Subscription, name: string): boolean => wildcard || names.has(name)
