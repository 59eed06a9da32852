import type { BudgetHolder, ByteBudget } from './byte-budget.ts'
import { headBytes } from './grpc-frame.ts'

/** What fits into the window that HTTP/2 opens to every stream: each may send so much of a message unasked. */
export const ownBytes = 65_536

/** The stream that the messages come on. There may be very many: an object with methods costs less than closures. */
export interface InboxOwner {
  /** Reads nothing from now on. */
  pause(): void
  resume(): void
  /** Others waited for room and this one did not go on: the stream has to end. */
  evicted(): void
  /** A message has begun and not come whole, or has come whole. */
  partial(begun: boolean): void
}

interface InboxOptions {
  readonly owner: InboxOwner
  readonly budget: ByteBudget
  /** What a compressed message counts as: it may become that large. */
  readonly maxMessageBytes: number
}

/**
 * The messages that one client is sending, counted while they come in: what gRPC keeps of a message that is not whole,
 * or has not been handled. Beyond a stream's own bytes they count against a budget of all streams; while that is used up the
 * stream is not read.
 */
export class Inbox implements BudgetHolder {
  readonly #owner: InboxOwner
  readonly #budget: ByteBudget
  readonly #maxMessageBytes: number
  /** Those that have come whole, and the bytes of the last one. */
  messages = 0
  lastLength = 0
  #head = 0
  #compressed = false
  #length = 0
  #missing = 0
  #partial = false
  /** Taken from the budget for the message that is coming, and for those that have come. */
  #coming = 0
  #come = 0

  constructor({ owner, budget, maxMessageBytes }: InboxOptions) {
    this.#owner = owner
    this.#budget = budget
    this.#maxMessageBytes = maxMessageBytes
  }

  /** No message has begun that has not come whole. */
  get between(): boolean {
    return this.#head === 0
  }

  /** Bytes of the body have come; called when gRPC has taken them. */
  receive(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      if (this.#head < headBytes) {
        this.#readHead(bytes[at] ?? 0)
        at += 1
      } else {
        const part = Math.min(this.#missing, bytes.length - at)
        this.#missing -= part
        at += part
      }
      if (this.#head === headBytes && this.#missing === 0) this.#end()
    }
    if (this.#partial !== this.#head > 0) {
      this.#partial = !this.#partial
      this.#owner.partial(this.#partial)
    }
    if (this.#head === headBytes && this.#coming === 0 && this.#length - this.#missing > ownBytes)
      this.#claim()
  }

  /** What has come whole is no longer kept. */
  handled(): void {
    if (this.#come === 0) return
    const bytes = this.#come
    this.#come = 0
    this.#budget.give(this, bytes)
  }

  /** The stream has ended. */
  close(): void {
    this.#budget.leave(this)
    if (this.#partial) this.#owner.partial(false)
    this.#partial = false
  }

  resume(): void {
    this.#claim()
    if (this.#coming > 0) this.#owner.resume()
  }

  evict(): void {
    this.#owner.evicted()
  }

  #readHead(byte: number): void {
    if (this.#head === 0) {
      this.#compressed = byte !== 0
      this.#length = 0
    } else this.#length = this.#length * 256 + byte
    this.#head += 1
    if (this.#head < headBytes) return
    this.#missing = this.#length
    if (!this.#compressed) return
    // It may be whole already: there is nothing to wait with.
    if (!this.#budget.ask(this)) this.#owner.evicted()
    else this.#take(this.#maxMessageBytes)
  }

  #claim(): void {
    if (this.#budget.ask(this)) this.#take(this.#length - ownBytes)
    else this.#owner.pause()
  }

  #take(bytes: number): void {
    this.#coming = bytes
    this.#budget.take(this, bytes)
  }

  #end(): void {
    this.messages += 1
    this.lastLength = this.#length
    this.#head = 0
    this.#come += this.#coming
    this.#coming = 0
  }
}
