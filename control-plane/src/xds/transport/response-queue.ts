import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { Clock } from '../../runtime/clock.ts'

/** Responses handed to the transport and not yet taken by it; beyond, changes merge in the session. */
const maxQueued = 8
/** Behind a response of this size no other is handed over before it has been taken. */
const largeBytes = 256 * 1024

interface ResponseQueueOptions {
  readonly call: ServerDuplexStream<Buffer, Buffer>
  readonly clock: Pick<Clock, 'monotonic'>
  /** The transport has taken a response: another may be written. */
  readonly onTaken: () => void
}

/** What one stream has handed to its transport. A client that does not read costs one large response at most. */
export class ResponseQueue {
  readonly #call: ResponseQueueOptions['call']
  readonly #clock: ResponseQueueOptions['clock']
  readonly #onWritten: () => void
  #queued = 0
  #large = false
  #since = 0

  constructor({ call, clock, onTaken }: ResponseQueueOptions) {
    this.#call = call
    this.#clock = clock
    this.#onWritten = () => {
      this.#queued -= 1
      if (this.#queued === 0) this.#large = false
      this.#since = this.#clock.monotonic()
      if (!this.full) onTaken()
    }
  }

  get size(): number {
    return this.#queued
  }

  get full(): boolean {
    return this.#large || this.#queued >= maxQueued
  }

  /** Since when the transport has taken nothing; undefined: it has taken all. */
  get waitingSince(): number | undefined {
    return this.#queued > 0 ? this.#since : undefined
  }

  write(bytes: Buffer): void {
    if (this.#queued === 0) this.#since = this.#clock.monotonic()
    this.#queued += 1
    this.#large ||= bytes.length >= largeBytes
    this.#call.write(bytes, this.#onWritten)
  }
}
