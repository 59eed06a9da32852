import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { Clock } from '../../runtime/clock.ts'
import type { BudgetHolder, ByteBudget } from './byte-budget.ts'
import { messageOf } from './grpc-frame.ts'
import type { DirectMessages, Taken } from './guarded-stream.ts'

/** Responses handed to the transport and not yet taken by it; beyond, changes merge in the session. */
const maxQueued = 8
/** Behind a response of this size no other is handed over before it has been taken. */
const largeBytes = 256 * 1024
/** What each stream may have queued on its own; more comes out of the budget of all. */
const ownBytes = 64 * 1024

interface ResponseQueueOptions {
  readonly call: ServerDuplexStream<Buffer, Buffer>
  /** Undefined: everything goes through the call. */
  readonly direct: Pick<DirectMessages, 'write'> | undefined
  readonly clock: Pick<Clock, 'monotonic'>
  readonly budget: ByteBudget
  /** Others wait for room, and this client takes nothing. */
  readonly onEvict: () => void
  /** The transport has taken a response: another may be written. */
  readonly onTaken: () => void
}

/**
 * What one stream has handed to its transport. A client that does not read costs one large response at most, and all
 * of them together no more than their budget.
 */
export class ResponseQueue implements BudgetHolder {
  readonly #call: ResponseQueueOptions['call']
  readonly #direct: ResponseQueueOptions['direct']
  readonly #clock: ResponseQueueOptions['clock']
  readonly #budget: ByteBudget
  readonly #onWritten: Taken
  /** Lengths of what the transport has not taken, in order. */
  readonly #lengths: number[] = []
  #bytes = 0
  #large = false
  #since = 0

  readonly resume: () => void
  readonly evict: () => void

  constructor({ call, direct, clock, budget, onTaken, onEvict }: ResponseQueueOptions) {
    this.#call = call
    this.#direct = direct
    this.#clock = clock
    this.#budget = budget
    this.resume = onTaken
    this.evict = onEvict
    this.#onWritten = error => {
      // The stream has ended, as its call will say.
      if (error !== undefined && error !== null) return
      this.#taken(this.#lengths.shift() ?? 0)
      if (this.#lengths.length === 0) this.#large = false
      this.#since = this.#clock.monotonic()
      if (!this.#holdsEnough) onTaken()
    }
  }

  get size(): number {
    return this.#lengths.length
  }

  /** Whether another response may be written. If not, `onTaken` says when it may be tried again. */
  takesMore(): boolean {
    return !this.#holdsEnough && this.#budget.ask(this)
  }

  /** Since when the transport has taken nothing; undefined: it has taken all. */
  get waitingSince(): number | undefined {
    return this.#lengths.length > 0 ? this.#since : undefined
  }

  /** A message with its gRPC head; it may be shared with other streams. */
  write(framed: Buffer): void {
    const { length } = framed
    if (this.#lengths.length === 0) this.#since = this.#clock.monotonic()
    this.#lengths.push(length)
    this.#large ||= length >= largeBytes
    const before = this.#bytes
    this.#bytes += length
    if (this.#bytes > ownBytes) this.#budget.take(this, this.#bytes - Math.max(before, ownBytes))
    if (this.#direct !== undefined) this.#direct.write(framed, this.#onWritten)
    else this.#call.write(messageOf(framed), this.#onWritten)
  }

  /** The stream has ended. */
  close(): void {
    this.#budget.leave(this)
  }

  get #holdsEnough(): boolean {
    return this.#large || this.#lengths.length >= maxQueued
  }

  #taken(length: number): void {
    const before = this.#bytes
    this.#bytes -= length
    if (before > ownBytes) this.#budget.give(this, before - Math.max(this.#bytes, ownBytes))
  }
}
