import type { Document } from '../domain/document.ts'
import { defaultFlapPolicy, type FlapPolicy } from '../domain/flapping.ts'
import type { Instance, InstanceSpec } from '../domain/instance.ts'
import type { Committed, Settled, Write } from '../store/write.ts'
import type { Precondition, WriteContext } from './context.ts'
import { deregisterWrite, type DeregisterInput } from './deregister.ts'
import { applyDocumentWrite, deleteDocumentWrite } from './documents.ts'
import { observeWrite, type Observation } from './observe.ts'
import { overrideWrite, type OverrideInput } from './override.ts'
import { registerWrite, type RegisterResult } from './register.ts'
import { removeDueWrite, type Removal } from './remove.ts'
import { reviewWrite, type Review } from './review.ts'
import { withdrawWrite, type Withdrawal } from './withdraw.ts'

/** The part of the store that the registry needs: store/sequencer.ts. */
export interface WriteLog {
  submit<R>(write: Write<R>): Promise<Committed<R>>
  /** As `submit` of each, in their order. Never rejects. */
  submitAll<R>(writes: readonly Write<R>[]): Promise<readonly Settled<R>[]>
}

export interface RegisterInput extends InstanceRef {
  readonly spec: InstanceSpec
}

/** One of many requests that are made together. */
export type InstanceRequest = { readonly register: RegisterInput } | { readonly deregister: DeregisterInput }

/** What it has done. */
export interface InstanceOutcome {
  /** null: it is gone. */
  readonly instance: Instance | null
  readonly created: boolean
  /** Given to a registration; null: it was none. */
  readonly incarnation: number | null
}

export interface RegistryOptions extends WriteLog {
  /** null: verdicts are not damped. All replicas should have the same. */
  readonly flapPolicy?: FlapPolicy | null
}

export interface InstanceRef {
  readonly service: string
  readonly id: string
}

export type {
  DeregisterInput,
  Observation,
  OverrideInput,
  Precondition,
  RegisterResult,
  Removal,
  Review,
  Withdrawal,
  WriteContext,
}

/**
 * The use cases that write. Each is one write of the log. Rejects with WaymarkError: `database_unavailable`
 * and `overloaded` from the log, and what each method names.
 */
export class Registry {
  readonly #log: WriteLog
  readonly #flapPolicy: FlapPolicy | null

  constructor(options: RegistryOptions) {
    this.#log = options
    this.#flapPolicy = options.flapPolicy === undefined ? defaultFlapPolicy : options.flapPolicy
  }

  /** Idempotent: an equal registration changes nothing but the incarnation, which only grows. */
  register(input: RegisterInput, context: WriteContext): Promise<Committed<RegisterResult>> {
    return this.#log.submit(registerWrite(input, context, this.#flapPolicy))
  }

  /** Refuses with `instance_not_found`, `incarnation_conflict`. Result: the draining instance, or null: gone. */
  deregister(input: DeregisterInput, context: WriteContext): Promise<Committed<Instance | null>> {
    return this.#log.submit(deregisterWrite(input, context, this.#flapPolicy))
  }

  /** As `register` and `deregister` one after the other: each is a write of its own and is refused on its own. */
  each(
    requests: readonly InstanceRequest[],
    context: WriteContext,
  ): Promise<readonly Settled<InstanceOutcome>[]> {
    return this.#log.submitAll(
      requests.map((request): Write<InstanceOutcome> => {
        if ('register' in request) {
          const write = registerWrite(request.register, context, this.#flapPolicy)
          return {
            ...write,
            decide: draft => {
              const { instance, created } = write.decide(draft)
              return { instance, created, incarnation: instance.incarnation }
            },
          }
        }
        const write = deregisterWrite(request.deregister, context, this.#flapPolicy)
        return {
          ...write,
          decide: draft => ({ instance: write.decide(draft), created: false, incarnation: null }),
        }
      }),
    )
  }

  /** Refuses with `instance_not_found`. */
  override(input: OverrideInput, context: WriteContext): Promise<Committed<Instance>> {
    return this.#log.submit(overrideWrite(input, context, this.#flapPolicy))
  }

  /**
   * Takes one observation as evidence and computes the verdict anew. An instance that is gone, or of another
   * incarnation than the observation names, is left alone (result null): evidence comes late by nature.
   */
  observe(input: Observation, context: WriteContext): Promise<Committed<Instance | null>> {
    return this.#log.submit(observeWrite(input, context, this.#flapPolicy))
  }

  /** Takes evidence back that nobody stands by any more: its check is no longer asked for. */
  withdraw(input: Withdrawal, context: WriteContext): Promise<Committed<Instance | null>> {
    return this.#log.submit(withdrawWrite(input, context, this.#flapPolicy))
  }

  /** Draws the verdict of an instance anew whose `reviewAt` has passed; false: there was nothing to do. */
  review(input: Review, context: WriteContext): Promise<Committed<boolean>> {
    return this.#log.submit(reviewWrite(input, context, this.#flapPolicy))
  }

  /** Removes an instance whose `removeAt` has passed; false: it is gone, or was given more time. */
  removeDue(input: Removal, context: WriteContext): Promise<Committed<boolean>> {
    return this.#log.submit(removeDueWrite(input, context))
  }

  /** `spec` is validated already. Refuses with `version_conflict`. An equal document changes nothing. */
  applyDocument(
    input: {
      readonly kind: string
      readonly name: string
      readonly spec: unknown
      readonly ifMatch: Precondition
    },
    context: WriteContext,
  ): Promise<Committed<{ readonly document: Document; readonly created: boolean }>> {
    return this.#log.submit(applyDocumentWrite(input, context))
  }

  /** Refuses with `document_not_found`, `version_conflict`. */
  deleteDocument(
    input: { readonly kind: string; readonly name: string; readonly ifMatch: Precondition },
    context: WriteContext,
  ): Promise<Committed<Document>> {
    return this.#log.submit(deleteDocumentWrite(input, context))
  }
}
