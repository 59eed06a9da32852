import type { Logger } from '../../runtime/logger.ts'
import type { XdsCounters } from '../counters.ts'
import { XdsRefusedError } from '../port.ts'
import type { Answer, Batch } from '../subscription/batch.ts'
import { describeRefusal } from '../subscription/refusals.ts'
import { SessionError } from '../subscription/session.ts'
import type { BoundedLog } from './bounded-log.ts'

interface Told {
  readonly id: number
  readonly node: { readonly id: string } | undefined
}

/** Counts and logs what becomes of streams. */
export class StreamLog {
  readonly #counters: XdsCounters
  /** For defects. */
  readonly #logger: Logger
  /** For what clients do. */
  readonly #warnings: BoundedLog

  constructor(options: { counters: XdsCounters; logger: Logger; warnings: BoundedLog }) {
    this.#counters = options.counters
    this.#logger = options.logger
    this.#warnings = options.warnings
  }

  sent({ typeUrl, resources, removed }: Batch, bytes: number): void {
    const counters = this.#counters.of(typeUrl)
    counters.responses += 1
    counters.resources += resources.length
    counters.removed += removed.length
    counters.bytes += bytes
  }

  /** `waitedMs`: since the response was written; undefined: it is not known any more. */
  answered({ id, node }: Told, typeUrl: string, answer: Answer, waitedMs?: number): void {
    const counters = this.#counters.of(typeUrl)
    if (answer === 'acked') {
      counters.acks += 1
      if (waitedMs !== undefined) counters.ack.record(waitedMs / 1_000)
    } else if (answer === 'stale') counters.staleAnswers += 1
    else {
      counters.nacks += 1
      const fields = { node: node?.id, stream: id, typeUrl, ...describeRefusal(answer) }
      this.#warnings.warn(fields, 'the sidecar refused a response')
    }
  }

  /** Returns the status that the stream ends with. */
  refused({ id, node }: Told, error: unknown): { readonly status: number; readonly message: string } {
    const fields = { node: node?.id, stream: id }
    if (error instanceof SessionError || error instanceof XdsRefusedError) {
      const { status, message } = error
      this.#counters.refuse(status)
      this.#warnings.warn({ ...fields, reason: message }, 'refused an xDS stream')
      return { status, message }
    }
    this.#counters.refuse(13)
    this.#logger.error({ ...fields, err: error }, 'an xDS stream failed')
    return { status: 13, message: 'internal error' }
  }
}
