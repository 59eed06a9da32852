import type { Revision } from '../../domain/revision.ts'

/** A response that carries a traced change to one stream. */
export interface TracedResponse {
  /** The number of the stream. */
  readonly stream: number
  readonly node: string
  readonly typeUrl: string
  /** Unique within the stream. */
  readonly nonce: string
  /** What the response calls the version of its type, or that of its only resource. */
  readonly version: string
  readonly resources: readonly { readonly name: string }[]
  readonly removed: readonly string[]
}

/** `refusal`: the words of a NACK. */
export interface TracedAnswer {
  readonly stream: number
  readonly nonce: string
  readonly refusal?: string
}

/** Shows how one step of the source reaches the streams. Nothing of it may throw. */
export interface StepTrace {
  sent(response: TracedResponse): void
  /** Also called for responses that were not sent as part of the step. */
  answered(answer: TracedAnswer): void
  /** Nobody has to answer any more. */
  end(): void
}

export interface PushTracer {
  /** The streams that the step up to `revision` touched are known, and nothing has been sent. Undefined: not traced. */
  begin(revision: Revision): StepTrace | undefined
}
