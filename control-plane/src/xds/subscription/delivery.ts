import type { Revision } from '../../domain/revision.ts'
import type { Answer, Batch, FirstRequest, Gates, Held } from './batch.ts'
import { BatchDraft } from './batch-draft.ts'
import { ChangedNames } from './changed-names.ts'
import type { TypeProgress } from '../order/order.ts'
import type { ResourceSet, XdsResource } from '../port.ts'
import { giveUp, refuse, type RefusedType } from './refuse.ts'
import { Refusals, type Refusal } from './refusals.ts'
import type { ReadonlySharedMap } from './shared-map.ts'
import type { TypeState } from './shared-state.ts'
import {
  newSubscription,
  subscribe,
  type Subscription,
  type SubscriptionActions,
  type SubscriptionMessage,
} from './subscription.ts'
import { clusterType, hasLegacyWildcard } from '../type-urls.ts'
import { Unanswered, type SentResponse } from './unanswered.ts'
import { Wanted } from './wanted.ts'

/** The version of something that is not known; no resource has it. */
const unknownVersion = ''

/**
 * One type of one stream: what is subscribed, what the client holds, what has changed since, what is unanswered.
 * Deterministic, without clock or transport. It is level-triggered: a changed name is only remembered, and
 * when a response can be sent, the current resource is compared with what the client has. So changes merge to
 * the latest (X19), and what has become equal again is not sent (X18).
 */
export class Delivery implements TypeProgress, RefusedType {
  readonly typeUrl: string
  readonly set: ResourceSet
  readonly subscription: Subscription
  readonly unanswered = new Unanswered()
  /** Names that changed and are not sent yet. */
  readonly changed: ChangedNames
  readonly #wanted: Wanted
  readonly state: TypeState
  /** A response is owed even if there is nothing to say: a wildcard without a resource still gets one (X12). */
  owesResponse = false
  /** Grows whenever one of the counts that its status shows may have changed: names, what is held, what is not there. */
  edits = 0
  #refusals: Refusals | undefined
  #lastSentAt = -Infinity

  constructor({ typeUrl, set, state }: { typeUrl: string; set: ResourceSet; state: TypeState }) {
    this.typeUrl = typeUrl
    this.set = set
    this.state = state
    this.changed = new ChangedNames(state.counters)
    this.subscription = newSubscription({ legacy: hasLegacyWildcard(typeUrl), names: state.names })
    this.#wanted = new Wanted(this.subscription, set)
  }

  get busy(): boolean {
    return this.changed.size > 0 || this.unanswered.size > 0 || this.owesResponse
  }

  /** Something could be sent if the order and the client allow it. */
  get hasWork(): boolean {
    return this.changed.size > 0 || this.owesResponse || this.wantsTakeBack
  }

  get wantsTakeBack(): boolean {
    return this.#refusals?.wantsTakeBack === true
  }

  /** Envoy holds CDS answers back while a cluster warms; all others come at once. */
  get answersInTime(): boolean {
    return this.typeUrl !== clusterType
  }

  get lastSentAt(): number {
    return this.#lastSentAt
  }

  /** The oldest revision that the client may not have; undefined: it has answered everything. */
  get behindSince(): Revision | undefined {
    const sent = this.unanswered.revision
    if (this.changed.size === 0) return sent
    return Math.min(this.changed.since, sent ?? Infinity)
  }

  get refusals(): readonly Refusal[] {
    return this.#refusals?.list() ?? []
  }

  settled(name: string): boolean {
    const held = this.state.held.get(name)
    if (held !== undefined && held !== null) return true
    const resource = this.current(name)
    return resource === undefined || this.#refusals?.blocks(name, resource.version) === true
  }

  /** What the client should have under this name, or for having asked for it. */
  current(name: string): XdsResource | undefined {
    return this.#wanted.current(name)
  }

  /** The client is told what becomes of the resource of this name. */
  tracked(name: string): boolean {
    return this.#wanted.tracked(name)
  }

  /** The resource has changed, appeared or gone at `revision`. */
  touch(name: string, revision: Revision): void {
    this.changed.add(name, revision, false)
  }

  /** Sends the resource again, if it is subscribed, even if it has not changed (X5, X20). */
  resend(name: string, revision: Revision): void {
    if (!this.tracked(name)) return
    this.changed.add(name, this.set.get(name)?.revision ?? revision, true)
  }

  /** Takes the lists of a request. `revision`: the current one of the source. */
  request(
    message: SubscriptionMessage,
    first: FirstRequest | undefined,
    revision: Revision,
  ): SubscriptionActions {
    this.edits += 1
    const assumed = first !== undefined && this.subscription.wildcard
    // From the first request on, the client has what it says, whatever it was sent unasked.
    if (assumed) {
      this.state.held.clear()
      this.unanswered.doubt()
    }
    const actions = subscribe(this.subscription, message)
    for (const name of actions.added) {
      const resource = this.set.get(name)
      if (resource !== undefined) this.#wanted.resolve(name, resource)
    }
    if (first !== undefined) this.#adopt(first, revision)
    for (const asked of actions.added) {
      const name = this.#wanted.nameOf(asked)
      // It may have dropped what it had of a wildcard.
      if (first === undefined) this.#doubt(name)
      if (first === undefined || !this.state.held.has(name)) this.resend(asked, revision)
    }
    // A set: both lists may have a hundred thousand names.
    const retaken = new Set(actions.again.length > 0 ? message.unsubscribe : [])
    for (const asked of actions.again) {
      const name = this.#wanted.nameOf(asked)
      if (retaken.has(asked)) this.#doubt(name)
      this.#refusals?.retry(name)
      this.resend(asked, revision)
    }
    for (const asked of actions.dropped) {
      const name = this.#wanted.drop(asked)
      if (name !== asked) this.changed.delete(asked)
      if (this.subscription.wildcard) {
        this.#doubt(name)
        this.resend(name, revision)
      } else if (!this.tracked(name)) this.#forget(name)
    }
    if (actions.wildcard === 'stop') this.#forgetUncovered()
    else if (actions.wildcard !== undefined) {
      this.owesResponse = first === undefined || first.initialVersions.size === 0
      this.#cover({ again: actions.wildcard === 'again', force: assumed }, revision)
    }
    return actions
  }

  /** Treats the type as a wildcard though the client has not asked: see `DeltaSession`. */
  assumeWildcard(revision: Revision): void {
    this.edits += 1
    this.subscription.wildcard = true
    this.#cover({ again: false, force: false }, revision)
  }

  /** The next response, as far as the order allows; undefined: nothing to send now. */
  take(gates: Gates, maxBytes: number): Batch | undefined {
    if (this.#refusals?.wantsTakeBack === true) {
      const { typeUrl } = this
      return { typeUrl, version: this.set.version, ...this.#refusals.takenBack(), takesBack: true }
    }
    const draft = new BatchDraft(maxBytes)
    const revision = this.changed.since
    for (const [asked, force] of this.changed) {
      const resource = this.current(asked)
      const orphan = resource === undefined ? undefined : this.#wanted.resolve(asked, resource)
      if (orphan !== undefined && this.state.held.delete(orphan)) {
        this.edits += 1
        draft.add(orphan, undefined)
      }
      const name = resource?.name ?? this.#wanted.nameOf(asked)
      const step =
        name !== asked && draft.has(name, resource) ? 'told' : this.#step(name, resource, force, gates)
      if (step === 'wait') continue
      if (step === 'send') {
        const alone = this.#refusals?.isolates(name) === true
        if (alone && !draft.empty) continue
        if (!draft.add(name, resource)) break
        this.changed.delete(asked)
        gates.settle(this.typeUrl, name)
        if (alone) break
        continue
      }
      if (name === asked) this.changed.drop(asked)
      else this.changed.delete(asked)
      gates.settle(this.typeUrl, name)
      if (step === 'equal') this.#refusals?.accepted(name)
      else if (step === 'blocked') this.#refusals?.blocked(name)
    }
    if (draft.empty && !this.owesResponse) return undefined
    this.owesResponse = false
    return draft.batch({ typeUrl: this.typeUrl, version: this.set.version, revision })
  }

  /** The batch has been written under this nonce. */
  sent(batch: Batch, nonce: string, at: number): void {
    this.#lastSentAt = at
    const { resources, removed, takesBack, revision } = batch
    this.unanswered.add({ nonce, resources, removed, takesBack, at, revision })
  }

  /** The client has answered the response with this nonce; `error` makes it a NACK. */
  answer(nonce: string, error: string | undefined, at: number): Answer {
    const responses = this.unanswered.take(nonce)
    const answered = responses.at(-1)
    if (answered === undefined) return 'stale'
    const { size, nulls } = this.held
    for (const response of responses) if (response !== answered || error === undefined) this.#accept(response)
    if (this.held.size !== size || this.held.nulls !== nulls) this.edits += 1
    if (error === undefined) return 'acked'
    const refusals = (this.#refusals ??= new Refusals())
    return refuse({ type: this, refusals, response: answered }, { message: error, at })
  }

  /**
   * The client has been silent about these responses for too long: all of them count as refused, if there is
   * more than one resource to suspect. Envoy says nothing while a cluster warms, and a bad cluster beside a
   * good one warms for ever.
   */
  giveUp(message: string, at: number): Refusal | undefined {
    const silent = this.unanswered.merged()
    if (!silent || silent.takesBack || silent.resources.length < 2 || this.isolating) return undefined
    const refusals = (this.#refusals ??= new Refusals())
    return giveUp({ type: this, refusals, response: silent }, { message, at })
  }

  /** Resources of a refused response are being tried one by one. */
  get isolating(): boolean {
    return this.#refusals?.isolating === true
  }

  /** What the client has, as far as it has said so. */
  get held(): ReadonlySharedMap<Held> {
    return this.state.held
  }

  #step(
    name: string,
    resource: XdsResource | undefined,
    force: boolean,
    gates: Gates,
  ): 'send' | 'wait' | 'blocked' | 'equal' {
    const known = this.#lastKnown(name)
    if (resource !== undefined) {
      if (this.#refusals?.blocks(name, resource.version)) return 'blocked'
      if (!force && typeof known === 'object' && known?.version === resource.version) return 'equal'
      return gates.mayAdd(this.typeUrl, resource, known) ? 'send' : 'wait'
    }
    if (!this.tracked(name)) return 'equal'
    if (force) return 'send'
    // Of a refused response the client may have taken a part.
    if (this.#refusals?.isolates(name) !== true) {
      if (known === undefined) return this.#wanted.named(name) ? 'send' : 'equal'
      if (known === null) return 'equal'
    }
    return gates.mayRemove(this.typeUrl, name) ? 'send' : 'wait'
  }

  #accept({ resources, removed, takesBack, revision }: SentResponse): void {
    for (const resource of resources) {
      if (!this.tracked(resource.name)) continue
      this.state.held.set(resource.name, this.unanswered.doubts(resource.name) ? unknownVersion : resource)
      this.#accepted(resource.name, resource.version, takesBack, revision)
    }
    for (const name of removed) {
      if (!this.tracked(name)) continue
      if (this.#wanted.named(name) && !takesBack) this.state.held.set(name, null)
      else this.state.held.delete(name)
      this.#accepted(name, undefined, takesBack, revision)
    }
  }

  /** The resource or the subscription may have changed since it was sent: then it is looked at again. */
  #accepted(name: string, version: string | undefined, takesBack: boolean, revision: Revision): void {
    if (!takesBack) this.#refusals?.accepted(name)
    const current = this.current(name)
    if (current?.version !== version) this.touch(name, current?.revision ?? revision)
  }

  #adopt(first: FirstRequest, revision: Revision): void {
    for (const [name, version] of first.initialVersions) {
      if (!this.tracked(name)) continue
      const resource = this.current(name)
      if (resource?.version !== version) {
        this.state.held.set(name, version)
        this.touch(name, resource?.revision ?? revision)
        continue
      }
      this.state.held.set(name, resource)
      if (first.distrusted === 'all' || first.distrusted.has(name)) this.resend(name, revision)
    }
  }

  /** Looks at what the wildcard covers and the client does not have; `again`: at all of it. */
  #cover({ again, force }: { again: boolean; force: boolean }, revision: Revision): void {
    // A client that takes everything by the time that they come takes these, too.
    for (const name of this.unanswered.abandoned) {
      this.state.held.set(name, unknownVersion)
      this.touch(name, revision)
    }
    for (const name of this.set.names()) {
      if (!again && this.state.held.has(name)) continue
      if (again) this.#doubt(name)
      if (again || force) this.resend(name, revision)
      else this.touch(name, this.set.get(name)?.revision ?? revision)
    }
  }

  #forgetUncovered(): void {
    const refused = this.#refusals?.names() ?? []
    for (const name of new Set([...this.state.held.keys(), ...this.changed.keys(), ...refused])) {
      if (!this.tracked(name)) this.#forget(name)
    }
  }

  /** The client may have dropped it: from now on it is not known what it has, so nothing counts as equal. */
  #doubt(name: string): void {
    if (this.state.held.get(name) !== undefined) this.state.held.set(name, unknownVersion)
  }

  #forget(name: string): void {
    this.state.held.delete(name)
    this.changed.delete(name)
    this.#refusals?.forget(name)
  }

  #lastKnown(name: string): Held | undefined {
    const sent = this.unanswered.last(name)
    if (sent === undefined) return this.state.held.get(name)
    return this.unanswered.doubts(name) ? unknownVersion : sent
  }
}
