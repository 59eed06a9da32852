import type { Revision } from '../../domain/revision.ts'
import type { XdsResource } from '../port.ts'

/** A response that the client has neither ACKed nor NACKed. */
export interface SentResponse {
  readonly nonce: string
  readonly resources: readonly XdsResource[]
  readonly removed: readonly string[]
  /** It takes back refused clusters: its ACK clears nobody. */
  readonly takesBack: boolean
  /** On the monotonic clock, milliseconds. */
  readonly at: number
  /** The oldest revision that it carries. */
  readonly revision: Revision
}

/** Longest chain of unanswered responses; only CDS ever has more than one. */
const maxKept = 16

const none: readonly SentResponse[] = []

/**
 * The unanswered responses of one type, oldest first. Envoy holds back all CDS answers while a cluster warms, so
 * the chain of CDS may grow: beyond `maxKept` the two oldest are merged, which bounds it by the number of names.
 */
export class Unanswered {
  /** Never changed in place: thousands of streams have none, and need no list of their own for it. */
  #responses = none
  /** Built when first asked for; undefined after each change. */
  #index: ReadonlyMap<string, XdsResource | null> | undefined
  #doubted: Set<string> | undefined
  #abandoned: Set<string> | undefined

  get size(): number {
    return this.#responses.length
  }

  get oldest(): SentResponse | undefined {
    return this.#responses[0]
  }

  get revision(): Revision | undefined {
    let revision: Revision | undefined
    for (const response of this.#responses) revision = Math.min(revision ?? Infinity, response.revision)
    return revision
  }

  add(response: SentResponse): void {
    this.#index = undefined
    if (this.#doubted !== undefined)
      for (const name of contents([response]).keys()) this.#doubted.delete(name)
    this.#responses = this.#responses.length === 0 ? [response] : [...this.#responses, response]
    if (this.#responses.length <= maxKept) return
    const [first, second, ...rest] = this.#responses
    if (first !== undefined && second !== undefined) this.#responses = [merge(first, second), ...rest]
  }

  /**
   * Takes the response with this nonce and all older ones, oldest first; empty when there is none: the nonce is
   * stale (X14). Answers come in the order of the responses, so an older one will not be answered any more.
   */
  take(nonce: string): readonly SentResponse[] {
    this.#index = undefined
    const responses = this.#responses
    const left = responses.findIndex(response => response.nonce === nonce) + 1
    if (left === 0) return none
    this.#abandoned = undefined
    this.#responses = left === responses.length ? none : responses.slice(left)
    return left === responses.length ? responses : responses.slice(0, left)
  }

  /** No answer is waited for any more, to none of them. */
  abandon(): void {
    this.#abandoned = new Set([...this.abandoned, ...this.names()])
    this.#index = undefined
    this.#responses = none
  }

  /**
   * Names that were sent and may still be on their way, though no answer is waited for: until the client answers
   * something later. What it makes of them depends on what it subscribes to when they come.
   */
  get abandoned(): Iterable<string> {
    return this.#abandoned ?? []
  }

  /** Whether the client has taken or ignored what was sent until now is not known, whatever it answers later. */
  doubt(): void {
    this.#doubted = this.#responses.length === 0 ? undefined : new Set(this.names())
  }

  /** What was last sent under this name, answered just now or not at all, is in doubt. */
  doubts(name: string): boolean {
    return this.#doubted?.has(name) === true
  }

  find(nonce: string): SentResponse | undefined {
    return this.#responses.find(response => response.nonce === nonce)
  }

  /** All of them as one. */
  merged(): SentResponse | undefined {
    const [first, ...rest] = this.#responses
    return first === undefined ? undefined : rest.reduce(merge, first)
  }

  /** What was last sent under this name: a resource, null for its removal, undefined for nothing. */
  last(name: string): XdsResource | null | undefined {
    return this.#responses.length === 0 ? undefined : this.#byName().get(name)
  }

  names(): Iterable<string> {
    return this.#byName().keys()
  }

  #byName(): ReadonlyMap<string, XdsResource | null> {
    return (this.#index ??= contents(this.#responses))
  }
}

function contents(responses: readonly SentResponse[]): Map<string, XdsResource | null> {
  const byName = new Map<string, XdsResource | null>()
  for (const { resources, removed } of responses) {
    for (const resource of resources) byName.set(resource.name, resource)
    for (const name of removed) byName.set(name, null)
  }
  return byName
}

function merge(older: SentResponse, newer: SentResponse): SentResponse {
  const resources: XdsResource[] = []
  const removed: string[] = []
  for (const [name, resource] of contents([older, newer])) {
    if (resource === null) removed.push(name)
    else resources.push(resource)
  }
  return {
    nonce: newer.nonce,
    resources,
    removed,
    takesBack: older.takesBack && newer.takesBack,
    at: older.at,
    revision: Math.min(older.revision, newer.revision),
  }
}
