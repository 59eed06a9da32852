import type { Revision } from '../../domain/revision.ts'
import type { Batch, Gates, Held } from './batch.ts'
import { Delivery } from './delivery.ts'
import { emptySet } from './empty-set.ts'
import { clusterUsers, mustWaitForClusters, mustWaitToRemove, pushRank } from '../order/order.ts'
import type { ResourceSet, XdsResource } from '../port.ts'
import type { Refusal } from './refusals.ts'
import {
  SessionError,
  type RequestOutcome,
  type Session,
  type SessionLimits,
  type SessionOptions,
  type SessionTimings,
} from './session.ts'
import { SharedState } from './shared-state.ts'
import type { SubscriptionActions } from './subscription.ts'
import type { DeltaRequest } from './xds-request.ts'
import { clusterType, endpointType, listenerType } from '../type-urls.ts'

/**
 * All types of one delta stream.
 *
 * A client that is warming a cluster after a reconnect asks for all types but clusters until it is done. When
 * the order time has passed without a request for clusters, it gets them unasked: a fixed cluster may be what
 * it waits for.
 */
export class DeltaSession implements Session<DeltaRequest>, Gates {
  readonly #setOf: (typeUrl: string) => ResourceSet | undefined
  readonly #revision: () => Revision
  readonly #limits: SessionLimits
  readonly #timings: SessionTimings
  readonly #shared: SharedState
  readonly #aggregated: boolean
  /** In the order of sending. */
  #deliveries: readonly Delivery[] = []
  /** Type to names that a cluster sent on this stream needs, until the type's first request. */
  #owed: Map<string, Set<string>> | undefined
  /** Names that wait for the order; undefined: none does. */
  #waitingSince: Map<string, number> | undefined
  /** Entries of `initial_resource_versions`, over all types. */
  #claimed = 0
  /** Of all names and versions that the client has said and not taken back. */
  #characters = 0
  #assumeClustersAt: number | undefined
  /** The time of the silent clusters that `unstick` has seen. */
  #unstuck: number | undefined
  /** The client came with resources of an earlier stream and has not yet asked for all that may use them. */
  #resumes = false
  #now = 0
  #wakeAt: number | undefined

  constructor(options: SessionOptions) {
    this.#setOf = options.setOf
    this.#revision = options.revision
    this.#limits = options.limits
    this.#timings = options.timings
    this.#shared = options.shared ?? new SharedState()
    this.#aggregated = options.aggregated
  }

  get deliveries(): readonly Delivery[] {
    return this.#deliveries
  }

  get wakeAt(): number | undefined {
    return this.#wakeAt
  }

  request(message: DeltaRequest, now: number): RequestOutcome {
    const { typeUrl, initialVersions, nonce, error } = message
    const delivery = this.#delivery(typeUrl) ?? this.#open(typeUrl)
    const answer = nonce === '' ? undefined : delivery.answer(nonce, error, now)
    const { subscribe, unsubscribe } = message
    // Most requests are ACKs and ask for nothing.
    if (delivery.subscription.started && subscribe.length === 0 && unsubscribe.length === 0) {
      delivery.state.share()
      return { delivery, actions: nothingAsked, answer }
    }
    if (!delivery.subscription.started) this.#claim(initialVersions)
    const first = delivery.subscription.started
      ? undefined
      : { initialVersions, distrusted: this.#distrusted(message, now) }
    if (initialVersions.size > 0 && first !== undefined) this.#resumes = true
    delivery.set.asked?.([...subscribe, ...initialVersions.keys()])
    const actions = delivery.request(message, first, this.#revision())
    if (typeUrl === clusterType) this.#assumeClustersAt = undefined
    for (const name of actions.dropped) this.settle(typeUrl, name)
    this.#bound(actions)
    delivery.state.share()
    return { delivery, actions, answer }
  }

  next(now: number): Batch | undefined {
    this.#now = now
    for (;;) {
      this.#wakeAt = undefined
      let settled = false
      for (const delivery of this.#deliveries) {
        if (!delivery.hasWork || !this.#isOpen(delivery)) continue
        const { maxFirstResponseBytes, maxResponseBytes } = this.#limits
        const first = delivery.lastSentAt === -Infinity
        const batch = delivery.take(this, first ? maxFirstResponseBytes : maxResponseBytes)
        if (batch !== undefined) return batch
        settled ||= !delivery.busy
      }
      // A type that turned out to have nothing to send may have been what an earlier one waited for.
      if (!settled) break
    }
    // Also when the time has come already: whoever drives the session may be here for another reason.
    if (this.#assumeClustersAt !== undefined) this.#wakeBy(this.#assumeClustersAt)
    const silentSince = this.#delivery(clusterType)?.unanswered.oldest?.at
    if (silentSince !== undefined && silentSince !== this.#unstuck)
      this.#wakeBy(silentSince + this.#timings.clusterStuckMs)
    return undefined
  }

  unstick(now: number): Refusal | undefined {
    const clusters = this.#delivery(clusterType)
    const since = clusters?.unanswered.oldest?.at
    if (since === undefined || now < since + this.#timings.clusterStuckMs) return undefined
    this.#unstuck = since
    return clusters?.giveUp(`no answer to clusters for ${Math.round(now - since)} ms`, now)
  }

  assumeClusters(now: number): Delivery | undefined {
    if (this.#assumeClustersAt === undefined || now < this.#assumeClustersAt) return undefined
    this.#assumeClustersAt = undefined
    // It has filled its types with others: it wants no clusters.
    if (this.#deliveries.length >= this.#limits.maxTypes) return undefined
    const delivery = this.#open(clusterType)
    delivery.assumeWildcard(this.#revision())
    return delivery
  }

  sent(batch: Batch, nonce: string, now: number): void {
    this.#delivery(batch.typeUrl)?.sent(batch, nonce, now)
    if (batch.typeUrl !== clusterType || !this.#aggregated) return
    for (const cluster of batch.resources) {
      for (const { typeUrl, name } of cluster.dependsOn ?? []) this.#needs(typeUrl, name)
    }
  }

  mayAdd(typeUrl: string, resource: XdsResource, held: Held | undefined): boolean {
    if (typeUrl === clusterType || !this.#aggregated) return true
    return (
      !mustWaitForClusters(resource, held, this.#deliveries) || this.#patienceIsOver(typeUrl, resource.name)
    )
  }

  mayRemove(typeUrl: string, name: string): boolean {
    if (!this.#aggregated) return true
    const waits =
      mustWaitToRemove(typeUrl, this.#deliveries) ||
      (pushRank(typeUrl) < pushRank(listenerType) && this.#awaitsUsers())
    return !waits || this.#patienceIsOver(typeUrl, name)
  }

  settle(typeUrl: string, name: string): void {
    if (this.#waitingSince === undefined) return
    this.#waitingSince.delete(waitKey(typeUrl, name))
    if (this.#waitingSince.size === 0) this.#waitingSince = undefined
  }

  /** X19: one unanswered response per type; CDS goes on after a while, and at once to take a refused one back. */
  #isOpen(delivery: Delivery): boolean {
    if (delivery.unanswered.size === 0 || delivery.wantsTakeBack) return true
    if (delivery.typeUrl !== clusterType) return false
    // While suspects are tried, each answer counts: a good cluster that warms would hide a bad one's NACK.
    const { clusterAnswerMs, clusterStuckMs } = this.#timings
    return this.#reached(delivery.lastSentAt + (delivery.isolating ? clusterStuckMs : clusterAnswerMs))
  }

  /**
   * After a reconnect the client may use clusters that are gone, in routes that it has not asked for yet: its
   * types come one by one (X13).
   */
  #awaitsUsers(): boolean {
    this.#resumes &&= clusterUsers.some(
      typeUrl =>
        this.#delivery(typeUrl)?.subscription.started !== true &&
        this.#setOf(typeUrl)?.names()[Symbol.iterator]().next().done === false,
    )
    return this.#resumes
  }

  /** After a changed cluster its endpoints follow even if unchanged: Envoy does not ask again (X20). */
  #needs(typeUrl: string, name: string): void {
    const delivery = this.#delivery(typeUrl)
    if (delivery?.subscription.started === true) {
      delivery.resend(name, this.#revision())
      return
    }
    const owed = (this.#owed ??= new Map<string, Set<string>>())
    const names = owed.get(typeUrl)
    if (names === undefined) owed.set(typeUrl, new Set([name]))
    else names.add(name)
  }

  #distrusted({ typeUrl, initialVersions }: DeltaRequest, now: number): ReadonlySet<string> | 'all' {
    const owed = this.#owed?.get(typeUrl)
    this.#owed?.delete(typeUrl)
    if (this.#owed?.size === 0) this.#owed = undefined
    if (typeUrl === endpointType && this.#aggregated && this.#delivery(clusterType) === undefined) {
      if (initialVersions.size > 0) this.#assumeClustersAt = now + this.#timings.orderMs
      return 'all'
    }
    return owed ?? new Set()
  }

  #delivery(typeUrl: string): Delivery | undefined {
    return this.#deliveries.find(delivery => delivery.typeUrl === typeUrl)
  }

  #open(typeUrl: string): Delivery {
    if (this.#deliveries.length >= this.#limits.maxTypes) {
      throw new SessionError(8, `more than ${this.#limits.maxTypes} resource types on one stream`)
    }
    const served = this.#setOf(typeUrl)
    // A client may make up any number of types: those are not kept.
    const state = (served === undefined ? new SharedState() : this.#shared).open(typeUrl)
    const delivery = new Delivery({ typeUrl, set: served ?? emptySet, state })
    this.#deliveries = [...this.#deliveries, delivery].sort(
      (a, b) => pushRank(a.typeUrl) - pushRank(b.typeUrl),
    )
    return delivery
  }

  #patienceIsOver(typeUrl: string, name: string): boolean {
    const key = waitKey(typeUrl, name)
    const since = this.#waitingSince?.get(key)
    if (since === undefined) (this.#waitingSince ??= new Map<string, number>()).set(key, this.#now)
    return this.#reached((since ?? this.#now) + this.#timings.orderMs)
  }

  #reached(time: number): boolean {
    if (this.#now >= time) return true
    this.#wakeBy(time)
    return false
  }

  #wakeBy(time: number): void {
    this.#wakeAt = Math.min(this.#wakeAt ?? Infinity, time)
  }

  /** What the client says to hold counts for as long as the stream lives; it comes once for each type. */
  #claim(versions: ReadonlyMap<string, string>): void {
    this.#claimed += versions.size
    for (const [name, version] of versions) this.#characters += name.length + version.length
    if (this.#claimed > this.#limits.maxNames) throw this.#tooManyNames()
  }

  #bound({ added, dropped }: SubscriptionActions): void {
    for (const name of added) this.#characters += name.length
    for (const name of dropped) this.#characters -= name.length
    let names = 0
    for (const each of this.#deliveries) names += each.subscription.names.size
    const { maxNames } = this.#limits
    if (names > maxNames) throw this.#tooManyNames()
    if (this.#characters > maxNames * averageLength) {
      throw new SessionError(
        8,
        `the names of one stream have more than ${maxNames * averageLength} characters`,
      )
    }
  }

  #tooManyNames(): SessionError {
    return new SessionError(8, `more than ${this.#limits.maxNames} resource names on one stream`)
  }
}

const nothingAsked: SubscriptionActions = { wildcard: undefined, added: [], again: [], dropped: [] }

/** Characters that each name of `maxNames` may have if there are that many. */
const averageLength = 80

const waitKey = (typeUrl: string, name: string): string => `${typeUrl}\n${name}`
