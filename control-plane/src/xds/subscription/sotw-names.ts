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
  readonly #doubted = new Set<string>()

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
    const { listed, wildcard } = this.#read(names)
    const [before, covered] = [this.#listed, this.#wildcard]
    this.#everNamed ||= names.length > 0
    this.#listed = listed
    this.#wildcard = wildcard
    const subscribe = [...listed].filter(name => !before.has(name) || this.#doubted.has(name))
    const unsubscribe = [...before].filter(name => !listed.has(name) || this.#doubted.has(name))
    if (wildcard && (!covered || this.#doubted.has(wildcardName))) subscribe.push(wildcardName)
    if (covered && !wildcard) unsubscribe.push(wildcardName)
    this.#doubted.clear()
    return { subscribe, unsubscribe }
  }

  /**
   * Takes note of the list of a stale request. What it leaves out the client may have dropped; where the next valid
   * request lists it again, it counts as asked for anew.
   */
  doubt(names: readonly string[]): void {
    const { listed, wildcard } = this.#read(names)
    for (const name of this.#listed) if (!listed.has(name)) this.#doubted.add(name)
    if (this.#wildcard && !wildcard) this.#doubted.add(wildcardName)
    this.#everNamed ||= names.length > 0
  }

  #read(names: readonly string[]): { listed: ReadonlySet<string>; wildcard: boolean } {
    const listed = new Set(names)
    const everNamed = this.#everNamed || listed.size > 0
    return { wildcard: listed.delete(wildcardName) || (this.#legacy && !everNamed), listed }
  }
}
