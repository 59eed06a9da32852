import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { Clock } from '../../runtime/clock.ts'
import type { Pace, PaceAccount } from '../push/pace.ts'

/** More than this behind, a stream is not worth waiting for. */
const longestWaitMs = 60_000

export interface RequestReaderOptions {
  readonly call: ServerDuplexStream<Buffer, Buffer>
  readonly pace: Pace
  readonly clock: Pick<Clock, 'monotonic' | 'timer'>
  /** Does what the message asks for, or returns the steps of it that are left; each is run when it is its turn. */
  readonly onMessage: (bytes: Buffer) => readonly (() => void)[] | undefined
  /** The client's requests cost so much that it would have to wait for too long. */
  readonly onGreedy: () => void
}

/**
 * Reads the messages of a call one by one, no faster than its pace. While it holds, at most one message is taken out of the
 * transport, whose flow control bounds the rest: Node's own `pause` would let 16 of them in.
 */
export class RequestReader {
  readonly #options: RequestReaderOptions
  readonly #account: PaceAccount
  readonly #ask: (size: number) => void
  #holds = 0
  /** How much the call wanted to read while it was held; undefined: it did not. */
  #wanted: number | undefined

  constructor(options: RequestReaderOptions) {
    this.#options = options
    const { call, pace } = options
    this.#account = pace.open()
    this.#ask = call._read.bind(call)
    call._read = size => {
      if (this.#holds > 0) this.#wanted = size
      else this.#ask(size)
    }
  }

  /** Reads from now on. */
  start(): void {
    this.#options.call.on('data', (bytes: Buffer) => {
      this.run(() => this.#options.onMessage(bytes))
    })
  }

  /** No further message until `release` has been called as often. */
  hold(): void {
    this.#holds += 1
  }

  release(): void {
    this.#holds -= 1
    const wanted = this.#wanted
    if (this.#holds > 0 || wanted === undefined) return
    this.#wanted = undefined
    this.#ask(wanted)
  }

  /** Runs what a message leads to when it is its turn, step by step, and reads on when the pace allows. */
  run(request: () => readonly (() => void)[] | undefined): void {
    this.hold()
    let steps: Iterator<() => void> | undefined
    this.#step(
      () => {
        steps = request()?.values()
      },
      () => {
        const next = steps?.next()
        return next?.done === false ? next.value : undefined
      },
    )
  }

  #step(work: () => void, next: () => (() => void) | undefined): void {
    const { pace, clock, onGreedy } = this.#options
    const goOn = (): void => {
      const step = next()
      if (step === undefined) this.release()
      else this.#step(step, next)
    }
    pace.run(this.#account, work, waitMs => {
      if (waitMs > longestWaitMs) onGreedy()
      if (waitMs === 0) goOn()
      else clock.timer(Math.min(waitMs, longestWaitMs), goOn)
    })
  }
}
