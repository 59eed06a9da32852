import type { Answer, Batch } from './batch.ts'
import { ContentVersion } from './content-version.ts'
import { DeltaSession } from './delta-session.ts'
import type { Delivery } from './delivery.ts'
import type { ResourceSet, XdsResource } from '../port.ts'
import type { Refusal } from './refusals.ts'
import type { RequestOutcome, Session, SessionOptions } from './session.ts'
import { SotwNames } from './sotw-names.ts'
import type { SubscriptionActions } from './subscription.ts'
import type { SotwRequest } from './xds-request.ts'
import { hasFullState, hasLegacyWildcard } from '../type-urls.ts'

interface SotwType {
  readonly delivery: Delivery
  readonly names: SotwNames
  /** Of the last response; undefined: none yet. */
  nonce: string | undefined
  /** What the client has once it has taken the last response; kept for types without full state only. */
  content: ContentVersion
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
 * Only the last response of a type can be answered; an answer to an older one says nothing about names.
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
      return this.#answered({ delivery, actions: noActions, answer: delivery.answer(nonce, error, now) })
    }
    const names = known?.names ?? new SotwNames({ legacy: hasLegacyWildcard(typeUrl) })
    const lists = names.update(message.names)
    const initialVersions = known === undefined ? this.#matching(message, names) : noVersions
    const outcome = this.#delta.request({ node, typeUrl, ...lists, initialVersions, nonce, error }, now)
    if (known !== undefined) return this.#answered(outcome)
    const { delivery } = outcome
    this.#types.set(typeUrl, { delivery, names, nonce: undefined, content: contentOf(delivery) })
    return outcome
  }

  next(now: number): Batch | undefined {
    for (;;) {
      const batch = this.#delta.next(now)
      if (batch === undefined) return undefined
      const delivery = this.deliveries.find(({ typeUrl }) => typeUrl === batch.typeUrl)
      if (delivery === undefined) return undefined
      const response = hasFullState(batch.typeUrl) ? fullState(delivery, batch) : this.#changes(batch)
      if (response !== undefined) {
        this.#next = batch
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

  /** The changed resources; undefined: nothing that could be said. */
  #changes(batch: Batch): Batch | undefined {
    const resources = batch.resources.filter(({ body }) => body !== null)
    if (resources.length === 0 && batch.resources.length + batch.removed.length > 0) return undefined
    const content = this.#types.get(batch.typeUrl)?.content ?? new ContentVersion()
    for (const { name, version } of resources) content.set(name, version)
    return { ...batch, resources, removed: [], version: batch.version ?? content.text }
  }

  /** What the client has is looked at anew when it may have less than it was sent. */
  #answered(outcome: RequestOutcome): RequestOutcome {
    const { delivery, actions, answer } = outcome
    const type = this.#types.get(delivery.typeUrl)
    const lost = isRefusal(answer) || actions.dropped.length > 0 || actions.wildcard === 'stop'
    if (type !== undefined && lost) type.content = contentOf(delivery)
    return outcome
  }

  /**
   * The current versions of what a returning client asks for, if that is what it has: the version that it names is
   * of exactly this content (X11). A version of the source's own says so of a whole type only.
   */
  #matching({ typeUrl, version }: SotwRequest, { wildcard, listed }: SotwNames): ReadonlyMap<string, string> {
    const set = this.#setOf(typeUrl)
    if (set === undefined || version === '') return noVersions
    set.asked?.([...listed])
    if (set.version !== undefined && (version !== set.version || !wildcard || listed.size > 0))
      return noVersions
    const current = new Map<string, XdsResource>()
    for (const name of new Set([...listed, ...(wildcard ? set.names() : [])])) {
      const resource = set.get(name)
      if (resource !== undefined && resource.body !== null) current.set(name, resource)
    }
    if (set.version === undefined && ContentVersion.of(current.values()) !== version) return noVersions
    return new Map([...current].map(([name, resource]) => [name, resource.version]))
  }
}

const isStale = (type: SotwType, nonce: string): boolean =>
  nonce !== '' && type.nonce !== undefined && nonce !== type.nonce

const isRefusal = (answer: Answer | undefined): boolean => typeof answer === 'object'

/** What the client has, with the changes of the batch in it. */
function fullState(delivery: Delivery, batch: Batch): Batch {
  const state = new Map<string, XdsResource>()
  for (const resource of holdings(delivery)) state.set(resource.name, resource)
  for (const resource of batch.resources) state.set(resource.name, resource)
  for (const name of batch.removed) state.delete(name)
  const resources = [...state.values()].filter(({ body }) => body !== null)
  return { ...batch, resources, removed: [], version: batch.version ?? ContentVersion.of(resources) }
}

function contentOf(delivery: Delivery): ContentVersion {
  const content = new ContentVersion()
  for (const { name, version } of holdings(delivery)) content.set(name, version)
  return content
}

/** What the client has once it has taken everything that is on its way. */
function* holdings({ held, unanswered, subscription }: Delivery): Iterable<XdsResource> {
  for (const [name, resource] of held) {
    if (typeof resource !== 'object' || resource === null) continue
    if (unanswered.last(name) === undefined) yield resource
  }
  for (const name of unanswered.names()) {
    const resource = unanswered.last(name)
    const wanted = subscription.wildcard || subscription.names.has(name)
    if (wanted && resource !== undefined && resource !== null) yield resource
  }
}
