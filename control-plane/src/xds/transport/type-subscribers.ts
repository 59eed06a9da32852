import type { FanOut } from '../push/fan-out.ts'
import type { PushSteps } from '../push/push-steps.ts'
import type { TracedResponse } from '../push/push-tracer.ts'
import type { ResourceHub } from '../push/resource-hub.ts'
import type { Delivery } from '../subscription/delivery.ts'
import type { SubscriptionActions } from '../subscription/subscription.ts'
import { TypeSubscriber, type TypeOwner } from './type-subscriber.ts'

interface TypeSubscribersOptions {
  readonly owner: TypeOwner
  readonly hub: ResourceHub
  readonly steps: PushSteps
  readonly fanOut: Pick<FanOut, 'catchUp'>
}

/** All types of one stream in the indexes of their resource sets. */
export class TypeSubscribers {
  readonly #owner: TypeOwner
  readonly #hub: ResourceHub
  readonly #steps: PushSteps
  readonly #fanOut: Pick<FanOut, 'catchUp'>
  #subscribers: readonly TypeSubscriber[] = []

  constructor({ owner, hub, steps, fanOut }: TypeSubscribersOptions) {
    this.#owner = owner
    this.#hub = hub
    this.#steps = steps
    this.#fanOut = fanOut
  }

  /** The subscription of a type has changed. Returns its subscriber. */
  index(delivery: Delivery, { added, dropped, wildcard }: SubscriptionActions): TypeSubscriber {
    const subscriber = this.#subscriber(delivery)
    // Adding first keeps the index alive while names only move.
    if (added.length > 0) {
      const index = this.#hub.index(delivery.set)
      for (const name of added) index.add(name, subscriber)
    }
    if (wildcard === 'start') this.startWildcard(delivery)
    if (wildcard === 'stop') this.#hub.find(delivery.set)?.removeWildcard(subscriber)
    for (const name of dropped) this.#hub.find(delivery.set)?.remove(name, subscriber)
    return subscriber
  }

  startWildcard(delivery: Delivery): void {
    this.#hub.index(delivery.set).addWildcard(this.#subscriber(delivery))
  }

  /** A response of one of the types has been written while a step is traced. */
  sent(response: TracedResponse): void {
    for (const subscriber of this.#subscribers) {
      if (subscriber.delivery.typeUrl === response.typeUrl) subscriber.sent(response)
    }
  }

  /** Tells them what others have been told of already. */
  catchUp(): void {
    for (const subscriber of this.#subscribers) this.#fanOut.catchUp(subscriber)
  }

  /** Leaves the steps that the client is no longer behind. */
  settle(): void {
    for (const subscriber of this.#subscribers) subscriber.settle()
  }

  /** The stream has ended. */
  leave(): void {
    for (const subscriber of this.#subscribers) subscriber.leave(this.#hub)
    this.#subscribers = []
  }

  #subscriber(delivery: Delivery): TypeSubscriber {
    const known = this.#subscribers.find(subscriber => subscriber.delivery === delivery)
    if (known !== undefined) return known
    const steps = this.#steps.of(delivery.typeUrl)
    const subscriber = new TypeSubscriber({ owner: this.#owner, delivery, steps })
    this.#subscribers = [...this.#subscribers, subscriber]
    return subscriber
  }
}
