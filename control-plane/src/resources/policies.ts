import type { Document } from '../domain/document.ts'
import {
  effectivePolicy,
  type TrafficPolicyDocument,
} from '@waymark/sidecar-config/model/effective-policy.ts'
import type { TrafficPolicySpec } from '@waymark/sidecar-config/model/traffic-policy.ts'
import type { TrafficSettings } from '@waymark/sidecar-config/model/traffic-settings.ts'

/** `''` stands for "a caller without policies of its own". */
export type CallerVariant = string

/** The `TrafficPolicy` documents, found by destination and by caller. */
export class Policies {
  readonly #byDestination = new Map<string, Map<string, TrafficPolicyDocument>>()
  /** Caller -> how many policies name it. */
  readonly #callers = new Map<string, number>()

  /** Takes a document's new state (null: deleted); returns the destinations whose settings may have changed. */
  update(before: Document | null, after: Document | null): string[] {
    const touched = new Set<string>()
    if (before !== null) {
      // Documents were validated before they were written.
      const { destination, caller } = before.spec as TrafficPolicySpec
      this.#byDestination.get(destination)?.delete(before.name)
      this.#count(caller, -1)
      touched.add(destination)
    }
    if (after !== null) {
      const spec = after.spec as TrafficPolicySpec
      let documents = this.#byDestination.get(spec.destination)
      if (documents === undefined) {
        documents = new Map()
        this.#byDestination.set(spec.destination, documents)
      }
      documents.set(after.name, { name: after.name, spec })
      this.#count(spec.caller, 1)
      touched.add(spec.destination)
    }
    return [...touched]
  }

  clear(): void {
    this.#byDestination.clear()
    this.#callers.clear()
  }

  /** Callers of one variant get the same settings for every destination. */
  variantOf(caller: string): CallerVariant {
    return this.#callers.has(caller) ? caller : ''
  }

  settings(destination: string, caller: CallerVariant): TrafficSettings {
    const documents = this.#byDestination.get(destination)?.values() ?? []
    return effectivePolicy({ caller: caller === '' ? null : caller, destination, documents }).settings
  }

  #count(caller: string | undefined, by: 1 | -1): void {
    if (caller === undefined) return
    const count = (this.#callers.get(caller) ?? 0) + by
    if (count === 0) this.#callers.delete(caller)
    else this.#callers.set(caller, count)
  }
}
