import { status } from '@grpc/grpc-js'
import type { Clock } from '../../runtime/clock.ts'
import type { XdsTimings } from '../xds-options.ts'
import type { StreamRegistry } from './stream-registry.ts'
import type { XdsStream } from './xds-stream.ts'

interface OverdueStreamsOptions {
  readonly registry: Pick<StreamRegistry, 'streams' | 'unnamed'>
  readonly timings: Pick<XdsTimings, 'stuckMs' | 'firstMessageMs'>
  readonly clock: Pick<Clock, 'monotonic'>
}

/** A stream to be closed, with the status for its client. */
interface Overdue {
  readonly stream: XdsStream
  readonly code: number
  readonly reason: string
}

/**
 * Finds the streams whose client has owed something for too long. It looks at all of them ten times in `stuckMs`, and
 * each time at those that have not named their node.
 */
export class OverdueStreams {
  readonly #options: OverdueStreamsOptions
  #lookForStuckAt = 0

  constructor(options: OverdueStreamsOptions) {
    this.#options = options
  }

  /** Those of this moment; they may be closed meanwhile. */
  *find(): Generator<Overdue> {
    const { registry, timings, clock } = this.#options
    const { stuckMs, firstMessageMs } = timings
    const now = clock.monotonic()
    for (const stream of registry.unnamed) {
      if (now - (stream.silentSince ?? now) < firstMessageMs) continue
      yield { stream, code: status.DEADLINE_EXCEEDED, reason: 'no first message came in time' }
    }
    if (now < this.#lookForStuckAt) return
    this.#lookForStuckAt = now + stuckMs / 10
    for (const stream of registry.streams) {
      if (now - (stream.stuckSince ?? now) < stuckMs) continue
      const reason = 'the client took or answered nothing for too long'
      yield { stream, code: status.RESOURCE_EXHAUSTED, reason }
    }
  }
}
