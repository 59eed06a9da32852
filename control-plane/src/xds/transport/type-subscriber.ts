import type { Revision } from '../../domain/revision.ts'
import type { RevisionRecord } from '../acks/revision-journal.ts'
import type { HeldStep } from '../push/held-step.ts'
import type { TypeStep, TypeSteps } from '../push/push-steps.ts'
import type { TracedAnswer, TracedResponse } from '../push/push-tracer.ts'
import type { ResourceHub, Subscriber } from '../push/resource-hub.ts'
import type { Delivery } from '../subscription/delivery.ts'

/** Told of changed names, with the type of the stream that they are of. */
export interface TypeOwner {
  touched(delivery: Delivery, name: string, revision: Revision, record: RevisionRecord | undefined): void
  /** Up to `count` owners are told of this change later, with the record that is returned. */
  hold(delivery: Delivery, name: string, count: number): RevisionRecord
}

/** Beyond so many unanswered steps a stream is stuck: further ones do not wait for it. */
const maxSteps = 32

/** One type of one stream in the index of its resource set, and in the steps that it has not answered. */
export class TypeSubscriber implements Subscriber {
  readonly #owner: TypeOwner
  readonly delivery: Delivery
  readonly #steps: TypeSteps
  /** The oldest unanswered step; most of the time there is one or none. */
  #first: TypeStep | undefined
  #more: TypeStep[] | undefined

  constructor(options: {
    readonly owner: TypeOwner
    readonly delivery: Delivery
    readonly steps: TypeSteps
  }) {
    this.#owner = options.owner
    this.delivery = options.delivery
    this.#steps = options.steps
  }

  touch(name: string, revision: Revision, held?: HeldStep): void {
    const { changed } = this.delivery
    const before = changed.size
    this.#owner.touched(this.delivery, name, revision, held?.record)
    if (changed.size === before) this.#steps.counters.merged += 1
    const step = held?.step ?? this.#steps.current
    if (step !== this.#first) this.#join(step)
  }

  hold(name: string, count: number): HeldStep {
    const step = this.#steps.current
    step.join()
    const end = (): void => {
      step.leave(undefined)
    }
    return { step, record: this.#owner.hold(this.delivery, name, count), end }
  }

  /** A response has been written while a step is traced. */
  sent(response: TracedResponse): void {
    for (const { trace } of this.#unanswered()) trace?.sent(response)
  }

  /** The client has answered. `at`: milliseconds since the epoch. */
  answered(answer: TracedAnswer, at: number): void {
    if (this.#first === undefined) return
    for (const { trace } of this.#unanswered()) trace?.answered(answer)
    this.settle(answer.refusal === undefined ? at : undefined)
  }

  /** Leaves the steps that the client is no longer behind; see `TypeStep.leave`. */
  settle(ackedAt?: number): void {
    let first = this.#first
    if (first === undefined) return
    const { behindSince = Infinity } = this.delivery
    while (first !== undefined && (behindSince === Infinity || first.revision < behindSince)) {
      first = this.#leaveFirst(ackedAt)
    }
  }

  /** The stream has ended. */
  leave(hub: ResourceHub): void {
    const { set, subscription } = this.delivery
    for (const name of subscription.names) hub.find(set)?.remove(name, this)
    hub.find(set)?.removeWildcard(this)
    let first = this.#first
    while (first !== undefined) first = this.#leaveFirst(undefined)
  }

  #join(step: TypeStep): void {
    if (this.#first === undefined) this.#first = step
    else {
      const more = (this.#more ??= [])
      if (more.at(-1) === step || more.length >= maxSteps) return
      more.push(step)
    }
    step.join()
  }

  /** Returns the next one. */
  #leaveFirst(ackedAt: number | undefined): TypeStep | undefined {
    const left = this.#first
    this.#first = this.#more?.shift()
    if (this.#more?.length === 0) this.#more = undefined
    left?.leave(ackedAt)
    return this.#first
  }

  #unanswered(): readonly TypeStep[] {
    return this.#first === undefined ? [] : [this.#first, ...(this.#more ?? [])]
  }
}
