import type { Revision } from '../../domain/revision.ts'
import type { XdsResource } from '../port.ts'

/** One NACK: of a whole response, or of a single resource when it was sent alone. */
export interface Refusal {
  readonly names: readonly string[]
  /** The refused version; empty when the refused response had more than one entry, or a removal. */
  readonly version: string
  /** The client's words, at most 2,048 characters. */
  readonly message: string
  /** On the monotonic clock, milliseconds. */
  readonly at: number
  readonly revision: Revision
}

/**
 * What one stream has refused of one type (X16). A NACK does not say which resource it means, so every
 * resource of a refused response becomes a suspect, which is sent again alone. What is refused alone is a
 * culprit: kept back until it changes. A refused cluster is first taken back (see `Delivery`).
 */
export class Refusals {
  readonly #suspects = new Set<string>()
  readonly #culprits = new Map<string, Refusal>()
  readonly #takeBack = new Map<string, XdsResource | null>()
  #takeBackRevision: Revision = Infinity
  #response: Refusal | undefined

  /** A response with several entries was refused. */
  suspect(refusal: Refusal): void {
    for (const name of refusal.names) this.#suspects.add(name)
    this.#response = refusal
  }

  /** A response with this entry alone was refused. */
  convict(name: string, refusal: Refusal): void {
    this.#culprits.set(name, refusal)
    this.#cleared(name)
  }

  /** Sent alone because it is suspect, or because it was refused before and has changed. */
  isolates(name: string): boolean {
    return this.#suspects.has(name) || this.#culprits.has(name)
  }

  /** This version was refused alone: sending it again would only be refused again. */
  blocks(name: string, version: string): boolean {
    return this.#culprits.get(name)?.version === version
  }

  /** The client took it. */
  accepted(name: string): void {
    this.#culprits.delete(name)
    this.#cleared(name)
  }

  /** It is not sent, for what it is now was refused alone before: there is nothing left to try. */
  blocked(name: string): void {
    this.#cleared(name)
  }

  /** The client asks for it once more (X5): it gets it again, alone. */
  retry(name: string): void {
    if (this.#culprits.delete(name)) this.#suspects.add(name)
  }

  /** The client no longer wants it. */
  forget(name: string): void {
    this.#takeBack.delete(name)
    this.accepted(name)
  }

  /** To be replaced at once by what the client had before; null: to be removed. */
  takeBack(name: string, before: XdsResource | null, revision: Revision): void {
    this.#takeBack.set(name, before)
    this.#takeBackRevision = Math.min(this.#takeBackRevision, revision)
  }

  get wantsTakeBack(): boolean {
    return this.#takeBack.size > 0
  }

  /** What to take back; returned once. */
  takenBack(): { resources: XdsResource[]; removed: string[]; revision: Revision } {
    const resources: XdsResource[] = []
    const removed: string[] = []
    for (const [name, before] of this.#takeBack) {
      if (before === null) removed.push(name)
      else resources.push(before)
    }
    const revision = this.#takeBackRevision
    this.#takeBack.clear()
    this.#takeBackRevision = Infinity
    return { resources, removed, revision }
  }

  /** Every name that it knows something about. */
  names(): string[] {
    return [...this.#suspects, ...this.#culprits.keys()]
  }

  get isolating(): boolean {
    return this.#suspects.size > 0
  }

  culprit(name: string): Refusal | undefined {
    return this.#culprits.get(name)
  }

  /** Culprits, and the refused response while its suspects are being tried. */
  list(): Refusal[] {
    const culprits = [...this.#culprits.values()]
    return this.#response === undefined ? culprits : [...culprits, this.#response]
  }

  #cleared(name: string): void {
    this.#suspects.delete(name)
    if (this.#suspects.size === 0) this.#response = undefined
  }
}

/** Whether the name stands in the text as a word of its own: Envoy names the clusters that it refuses. */
export function mentions(text: string, name: string): boolean {
  // An empty name would be found at the end again and again.
  if (name === '') return false
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    const around = `${text[at - 1] ?? ' '}${text[at + name.length] ?? ' '}`
    if (!/[\w/-]/.test(around)) return true
  }
  return false
}

/** The fields of a log line about a NACK. */
export const describeRefusal = (refusal: Refusal): object => ({
  resources: refusal.names.slice(0, 10),
  count: refusal.names.length,
  version: refusal.version,
  reason: refusal.message,
})
