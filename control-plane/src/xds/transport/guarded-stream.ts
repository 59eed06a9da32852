import type { ServerHttp2Stream } from 'node:http2'
import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js'
import type { ByteBudget } from './byte-budget.ts'
import { wholeMessage } from './grpc-frame.ts'
import { Inbox, type InboxOwner } from './inbox.ts'

export type AnyCall = ServerDuplexStream<Buffer, Buffer>

/** A message has been taken by the transport, or the stream has ended before that. */
export type Taken = (error?: Error | null) => void

/** The messages of a call that go past gRPC, on the HTTP/2 stream of the call. */
export interface DirectMessages {
  /**
   * Writes a message with its gRPC head, in order with everything that gRPC writes. `taken` may not be called if the stream ends
   * before.
   */
  write(framed: Buffer, taken: Taken): void
  /** From now on `take` gets the messages that come alone and whole; the call gets all others. */
  read(take: (message: Buffer) => void): void
  /** The call has delivered a message. Those that come directly wait for it. */
  delivered(): void
  /** Reads nothing until `resume`. */
  pause(): void
  resume(): void
}

/** What the streams of a guard have in common. */
export interface GuardedHost {
  partial(guarded: GuardedStream, begun: boolean): void
  evicted(guarded: GuardedStream): void
}

/** gRPC keeps the last message that it has read until it reads another one: after a larger one it gets that too. */
const smallBytes = 4_096

type DataListener = (bytes: Buffer) => void

/**
 * An HTTP/2 stream below gRPC. gRPC makes a call of it, sends the headers and the status, and speaks for it in every error; it
 * also reads what is compressed, too large or cut in pieces. What nearly all messages are passes it by: a prepared
 * response, and a small request that comes in one piece.
 */
export class GuardedStream implements InboxOwner, DirectMessages {
  readonly stream: ServerHttp2Stream
  /** Undefined: gRPC has refused the call. */
  inbox: Inbox | undefined
  /** It ends with a status of ours, or was reset by us: what it ends with has been counted. */
  counted = false
  partialSince = 0
  readonly #host: GuardedHost
  #call: AnyCall | undefined
  #maxMessageBytes = 0
  #begun = false
  #take: DataListener | undefined
  /** Messages that the call has delivered. */
  #delivered = 0

  constructor(stream: ServerHttp2Stream, host: GuardedHost) {
    this.stream = stream
    this.#host = host
  }

  /**
   * gRPC has made a call of it, and not read anything yet. If gRPC does not read as it is known to, by one listener, all
   * messages are left to it.
   */
  enter(call: AnyCall, options: { readonly budget: ByteBudget; readonly maxMessageBytes: number }): void {
    const inbox = new Inbox({ owner: this, ...options })
    this.inbox = inbox
    this.#call = call
    this.#maxMessageBytes = options.maxMessageBytes
    const { stream } = this
    const [own, ...others] = stream.listeners('data') as DataListener[]
    if (own === undefined || others.length > 0) {
      // After those of gRPC, so that what is counted here has been taken there.
      stream.on('data', (bytes: Buffer) => {
        inbox.receive(bytes)
      })
      return
    }
    stream.off('data', own)
    stream.on('data', (bytes: Buffer) => {
      if (this.#receive(bytes, inbox)) return
      own.call(stream, bytes)
      inbox.receive(bytes)
    })
  }

  /** The client has been sent the status, as far as the transport knows. */
  get finished(): boolean {
    return this.stream.writableFinished || this.stream.destroyed
  }

  write(framed: Buffer, taken: Taken): void {
    if (!this.#begun) {
      this.#begun = true
      this.#call?.sendMetadata(new Metadata())
    }
    // gRPC may have ended it, at the client's deadline for instance, and not said so yet.
    if (this.stream.writable) this.stream.write(framed, taken)
  }

  read(take: (message: Buffer) => void): void {
    this.#take = take
  }

  delivered(): void {
    this.#delivered += 1
  }

  pause(): void {
    this.stream.pause()
  }

  resume(): void {
    this.stream.resume()
  }

  evicted(): void {
    this.#host.evicted(this)
  }

  partial(begun: boolean): void {
    this.#host.partial(this, begun)
  }

  /** Whether the bytes are a message that need not go through gRPC; gRPC must have nothing that came before. */
  #receive(bytes: Buffer, inbox: Inbox): boolean {
    if (this.#take === undefined || !inbox.between || inbox.messages !== this.#delivered) return false
    if (inbox.lastLength > smallBytes) return false
    const message = wholeMessage(bytes, this.#maxMessageBytes)
    if (message === undefined) return false
    this.#take(message)
    return true
  }
}
