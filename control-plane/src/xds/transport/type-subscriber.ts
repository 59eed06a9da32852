import type { Revision } from '../../domain/revision.ts'
import type { ResourceHub, Subscriber } from '../push/resource-hub.ts'
import type { Delivery } from '../subscription/delivery.ts'

/** Told of changed names, with the type of the stream that they are of. */
interface Owner {
  touched(delivery: Delivery, name: string, revision: Revision): void
}

/** One type of one stream in the index of its resource set. */
export class TypeSubscriber implements Subscriber {
  readonly #owner: Owner
  readonly #delivery: Delivery

  constructor(owner: Owner, delivery: Delivery) {
    this.#owner = owner
    this.#delivery = delivery
  }

  touch(name: string, revision: Revision): void {
    this.#owner.touched(this.#delivery, name, revision)
  }

  leave(hub: ResourceHub, { set, subscription }: Delivery): void {
    for (const name of subscription.names) hub.find(set)?.remove(name, this)
    hub.find(set)?.removeWildcard(this)
  }
}
