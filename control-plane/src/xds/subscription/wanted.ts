import { Aliases } from './aliases.ts'
import type { ResourceSet, XdsResource } from '../port.ts'
import type { Subscription } from './subscription.ts'

/**
 * What a subscription amounts to in its resource set. Clients ask by name or alias (X7); everything sent is known
 * by the resource's own name.
 */
export class Wanted {
  readonly #subscription: Subscription
  readonly #set: ResourceSet
  #aliases: Aliases | undefined

  constructor(subscription: Subscription, set: ResourceSet) {
    this.#subscription = subscription
    this.#set = set
  }

  /** What the client should have under this name, or for having asked for it. */
  current(name: string): XdsResource | undefined {
    const wanted = this.named(name) || (this.#subscription.wildcard && (this.#set.covers?.(name) ?? true))
    return wanted ? this.#set.get(name) : undefined
  }

  /** The client is told what becomes of the resource of this name. */
  tracked(name: string): boolean {
    return this.#subscription.wildcard || this.named(name)
  }

  /** Subscribed by this name, or by an alias of the resource of this name. */
  named(name: string): boolean {
    return this.#subscription.names.has(name) || this.#aliases?.has(name) === true
  }

  /** The own name of what `asked` last resolved to. */
  nameOf(asked: string): string {
    return this.#aliases?.nameOf(asked) ?? asked
  }

  /**
   * `asked` resolves to this resource. Returns the name that it resolved to before if the client does not want that
   * any more.
   */
  resolve(asked: string, { name }: XdsResource): string | undefined {
    if (this.#aliases === undefined && name === asked) return undefined
    if (!this.#subscription.names.has(asked)) return undefined
    const orphan = (this.#aliases ??= new Aliases()).bind(asked, name)
    return orphan === undefined || this.tracked(orphan) ? undefined : orphan
  }

  /** `asked` is no longer subscribed. Returns the own name of what it resolved to. */
  drop(asked: string): string {
    const name = this.nameOf(asked)
    this.#aliases?.unbind(asked)
    return name
  }
}
