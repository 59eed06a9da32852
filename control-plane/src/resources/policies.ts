import type { Document } from '../domain/document.ts'
import {
  effectivePolicy,
  type TrafficPolicyDocument,
} from '@waymark/sidecar-config/model/effective-policy.ts'
import type { TrafficPolicySpec } from '@waymark/sidecar-config/model/traffic-policy.ts'
import type { TrafficSettings } from '@waymark/sidecar-config/model/traffic-settings.ts'

/** `''` stands for "a caller without policies of its own". */
export type CallerVariant = string

/** Whose calls to which service a policy governs. */
export interface PolicyScope {
  readonly destination: string
  /** null: every caller. */
  readonly caller: string | null
}

interface DestinationPolicies {
  readonly documents: Map<string, TrafficPolicyDocument>
  /** Caller -> how many of the policies name it. */
  readonly callers: Map<string, number>
}

/** The `TrafficPolicy` documents, found by destination and by caller. */
export class Policies {
  readonly #byDestination = new Map<string, DestinationPolicies>()

  /** Takes a document's new state (null: deleted); returns the calls whose settings may have changed. */
  update(before: Document | null, after: Document | null): PolicyScope[] {
    // Documents were validated before they were written.
    const specs = [before, after].flatMap(document =>
      document === null ? [] : [document.spec as TrafficPolicySpec],
    )
    if (before !== null) this.#remove(before)
    if (after !== null) this.#add(after)
    return specs.map(({ destination, caller }) => ({ destination, caller: caller ?? null }))
  }

  clear(): void {
    this.#byDestination.clear()
  }

  /** Callers of one variant get the same settings for this destination. */
  variantOf(destination: string, caller: string): CallerVariant {
    return this.#byDestination.get(destination)?.callers.has(caller) === true ? caller : ''
  }

  settings(destination: string, caller: CallerVariant): TrafficSettings {
    const documents = this.#byDestination.get(destination)?.documents.values() ?? []
    return effectivePolicy({ caller: caller === '' ? null : caller, destination, documents }).settings
  }

  #add({ name, spec: anySpec }: Document): void {
    const spec = anySpec as TrafficPolicySpec
    const { destination, caller } = spec
    let policies = this.#byDestination.get(destination)
    if (policies === undefined) {
      policies = { documents: new Map(), callers: new Map() }
      this.#byDestination.set(destination, policies)
    }
    policies.documents.set(name, { name, spec })
    if (caller !== undefined) policies.callers.set(caller, (policies.callers.get(caller) ?? 0) + 1)
  }

  #remove({ name, spec }: Document): void {
    const { destination, caller } = spec as TrafficPolicySpec
    const policies = this.#byDestination.get(destination)
    if (policies?.documents.delete(name) !== true) return
    if (policies.documents.size === 0) this.#byDestination.delete(destination)
    if (caller === undefined) return
    const left = (policies.callers.get(caller) ?? 0) - 1
    if (left > 0) policies.callers.set(caller, left)
    else policies.callers.delete(caller)
  }
}
