import { SpanStatusCode, trace, type Context, type Span, type Tracer } from '@opentelemetry/api'
import { shortType } from '../domain/short-type.ts'

/** A response that carries a traced change to one stream. */
export interface SentResponse {
  readonly stream: number
  readonly node: string
  readonly typeUrl: string
  readonly nonce: string
  readonly version: string
  readonly resources: readonly { readonly name: string }[]
  readonly removed: readonly string[]
}

/** Responses of one step with a span of their own; the others are counted. */
export const maxPushSpans = 20
const maxNames = 10
const maxMessage = 500

/**
 * The spans of what one step of the feed sends: `xds.deliver` from the first response to the last answer, and in it an
 * `xds.push` for each of the first responses, from its writing to its answer.
 */
export class StepSpans {
  readonly #tracer: Tracer
  readonly #deliver: Span
  readonly #context: Context
  readonly #onEnd: () => void
  /** Unanswered responses; undefined: without a span. */
  readonly #pushes = new Map<string, Span | undefined>()
  readonly #counts = { responses: 0, acks: 0, nacks: 0 }

  constructor(options: { tracer: Tracer; parent: Context; revision: number; onEnd: () => void }) {
    this.#tracer = options.tracer
    this.#onEnd = options.onEnd
    const attributes = { 'waymark.revision': options.revision }
    this.#deliver = options.tracer.startSpan('xds.deliver', { attributes }, options.parent)
    this.#context = trace.setSpan(options.parent, this.#deliver)
  }

  sent({ stream, node, typeUrl, nonce, version, resources, removed }: SentResponse): void {
    this.#counts.responses += 1
    const shown = this.#counts.responses <= maxPushSpans
    const attributes = shown && {
      'waymark.xds.node': node,
      'waymark.xds.type': shortType(typeUrl),
      'waymark.xds.version': version,
      'waymark.xds.nonce': nonce,
      'waymark.xds.resources': resources.slice(0, maxNames).map(({ name }) => name),
      'waymark.xds.removed': removed.slice(0, maxNames),
      'waymark.xds.resource_count': resources.length + removed.length,
    }
    this.#pushes.set(
      `${stream} ${nonce}`,
      attributes ? this.#tracer.startSpan('xds.push', { attributes }, this.#context) : undefined,
    )
  }

  answered({ stream, nonce, refusal }: { stream: number; nonce: string; refusal?: string }): void {
    const key = `${stream} ${nonce}`
    const span = this.#pushes.get(key)
    if (!this.#pushes.delete(key)) return
    if (refusal === undefined) this.#counts.acks += 1
    else this.#counts.nacks += 1
    if (refusal !== undefined) {
      span?.setStatus({ code: SpanStatusCode.ERROR, message: refusal.slice(0, maxMessage) })
    }
    span?.setAttribute('waymark.xds.result', refusal === undefined ? 'ack' : 'nack').end()
  }

  /** Nobody has to answer any more: what is unanswered was overtaken by a later response, or its stream has ended. */
  end(): void {
    for (const span of this.#pushes.values()) span?.setAttribute('waymark.xds.result', 'unanswered').end()
    const { responses, acks, nacks } = this.#counts
    this.#deliver.setAttributes({
      'waymark.xds.responses': responses,
      'waymark.xds.acks': acks,
      'waymark.xds.nacks': nacks,
      'waymark.xds.unanswered': this.#pushes.size,
      'waymark.xds.responses_without_span': Math.max(0, responses - maxPushSpans),
    })
    if (nacks > 0) this.#deliver.setStatus({ code: SpanStatusCode.ERROR, message: `${nacks} NACKs` })
    this.#deliver.end()
    this.#pushes.clear()
    this.#onEnd()
  }
}
