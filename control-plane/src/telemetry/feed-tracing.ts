import { SpanKind, trace, type Context, type Span, type Tracer } from '@opentelemetry/api'
import type { ChangeSet } from '../domain/change.ts'
import type { Revision } from '../domain/revision.ts'
import { StepSpans } from './step-spans.ts'
import { sampledContextOf } from './trace-context.ts'

/** Writes of one step whose traces show it. */
const maxWrites = 8
/** Steps whose answers are followed at the same time. */
const maxSteps = 64

interface Write {
  readonly revision: Revision
  readonly context: Context
}

/** The step that is being applied now. */
interface Applying {
  readonly revision: Revision
  readonly context: Context
  readonly span: Span
  build: Span | undefined
}

/**
 * Continues the trace of a write where this replica applies it: `feed.apply`, in it `xds.build` (which resources and
 * streams the change touches) and `xds.deliver` (see `StepSpans`). The context comes with the change, so that
 * every replica adds its part to the same trace. Of several traced writes in one step the first has all of this; the
 * others have a `feed.apply` that links to it. What is not sampled costs a look at its `traceparent`.
 */
export class FeedTracing {
  readonly #tracer: Tracer | null
  #applying: Applying | undefined
  #followed = 0

  constructor(tracer: Tracer | null) {
    this.#tracer = tracer
  }

  /** `run` applies the sets, synchronously, with all that follows of it. Throws what it throws. */
  apply(sets: readonly ChangeSet[], run: () => void): void {
    const tracer = this.#tracer
    const [first, ...others] = tracer === null ? [] : sampledWrites(sets)
    if (tracer === null || first === undefined) {
      run()
      return
    }
    const from = sets[0]?.revision ?? first.revision
    const to = sets.at(-1)?.revision ?? first.revision
    const attributes = { 'waymark.revision': first.revision, 'waymark.revisions': to - from + 1 }
    const span = tracer.startSpan(
      'feed.apply',
      { kind: SpanKind.CONSUMER, attributes, links: others.flatMap(linkTo) },
      first.context,
    )
    for (const { revision, context } of others) {
      const links = [{ context: span.spanContext() }]
      const options = { kind: SpanKind.CONSUMER, attributes: { 'waymark.revision': revision }, links }
      tracer.startSpan('feed.apply', options, context).end()
    }
    this.#applying = { revision: to, context: trace.setSpan(first.context, span), span, build: undefined }
    try {
      run()
    } finally {
      this.#applying.build?.end()
      this.#applying = undefined
      span.end()
    }
  }

  /** The mesh state is complete; now its followers work out what it means. */
  building(): void {
    const applying = this.#applying
    if (applying !== undefined) applying.build = this.#tracer?.startSpan('xds.build', {}, applying.context)
  }

  /** The streams that the step up to `revision` touches are known. Undefined: it is not followed. */
  begin(revision: Revision): StepSpans | undefined {
    const applying = this.#applying
    if (this.#tracer === null || applying?.revision !== revision) return undefined
    applying.build?.end()
    applying.build = undefined
    if (this.#followed >= maxSteps) {
      applying.span.setAttribute('waymark.xds.not_followed', true)
      return undefined
    }
    this.#followed += 1
    return new StepSpans({
      tracer: this.#tracer,
      parent: applying.context,
      revision,
      onEnd: () => {
        this.#followed -= 1
      },
    })
  }
}

/** All changes of a set are of one write. */
const sampledWrites = (sets: readonly ChangeSet[]): Write[] => {
  const writes: Write[] = []
  for (const { revision, changes } of sets) {
    const context = sampledContextOf(changes[0]?.traceparent)
    if (context === undefined) continue
    writes.push({ revision, context })
    if (writes.length === maxWrites) break
  }
  return writes
}

const linkTo = ({ context }: Write) => {
  const spanContext = trace.getSpanContext(context)
  return spanContext === undefined ? [] : [{ context: spanContext }]
}
