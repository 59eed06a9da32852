import type { SubscriptionMessage } from './subscription.ts'

const wildcardName = '*'

/**
 * The names of one type of a state-of-the-world stream. Each request lists all of them: what is not listed any more
 * is unsubscribed. An empty list is a wildcard for some types, until the first list that is not empty; from
 * then on it means nothing at all.
 */
export class SotwNames {
  readonly #legacy: boolean
  #everNamed = false
  #wildcard = false
  #listed: ReadonlySet<string> = new Set()

  /** `legacy`: an empty list can be a wildcard (X1). */
  constructor(options: { legacy: boolean }) {
    this.#legacy = options.legacy
  }

  get wildcard(): boolean {
    return this.#wildcard
  }

  /** Names subscribed one by one. */
  get listed(): ReadonlySet<string> {
    return this.#listed
  }

  /** Takes the list of a request; returns what that changes, as delta says it. */
  update(names: readonly string[]): SubscriptionMessage {
    const listed = new Set(names)
    this.#everNamed ||= listed.size > 0
    const wildcard = listed.delete(wildcardName) || (this.#legacy && !this.#everNamed)
    const [before, covered] = [this.#listed, this.#wildcard]
    this.#listed = listed
    this.#wildcard = wildcard
    return {
      subscribe: [...missing(listed, before), ...(wildcard && !covered ? [wildcardName] : [])],
      unsubscribe: [...missing(before, listed), ...(covered && !wildcard ? [wildcardName] : [])],
    }
  }
}

const missing = (names: ReadonlySet<string>, from: ReadonlySet<string>): string[] =>
  [...names].filter(name => !from.has(name))
