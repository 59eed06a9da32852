import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { Clock } from '../../runtime/clock.ts'
import type { Pace, PaceAccount } from '../push/pace.ts'
import { forgetMessage } from './forget-message.ts'
import type { DirectMessages } from './guarded-stream.ts'

/** More than this behind, a stream is not worth waiting for. */
const longestWaitMs = 60_000

export interface RequestReaderOptions {
  readonly call: ServerDuplexStream<Buffer, Buffer>
  /** Absent: all messages come by the call. */
  readonly direct?: DirectMessages | undefined
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
  /** Direct messages have been paused. */
  #paused = false
  /** Messages that came while it held: the call reads one ahead. */
  #early: Buffer[] = []
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
    const { call, direct } = this.#options
    call.on('data', (bytes: Buffer) => {
      direct?.delivered()
      forgetMessage(call)
      this.#message(bytes)
    })
    direct?.read(bytes => {
      this.#message(bytes)
      if (this.#holds === 0) return
      this.#paused = true
      direct.pause()
    })
  }

  /** No further message until `release` has been called as often. */
  hold(): void {
    this.#holds += 1
  }

  release(): void {
    this.#holds -= 1
    while (this.#holds === 0) {
      const early = this.#early.shift()
      if (early === undefined) break
      this.#message(early)
    }
    if (this.#holds > 0) return
    if (this.#paused) {
      this.#paused = false
      this.#options.direct?.resume()
    }
    const wanted = this.#wanted
    if (wanted === undefined) return
    this.#wanted = undefined
    this.#ask(wanted)
  }

  #message(bytes: Buffer): void {
    if (this.#holds > 0) this.#early.push(bytes)
    else this.run(() => this.#options.onMessage(bytes))
  }

  /** Runs what a message leads to when it is its turn, step by step, and reads on when the pace allows. */
  run(request: () => readonly (() => void)[] | undefined): void {
    const { pace } = this.#options
    if (!pace.free) {
      this.#later(request)
      return
    }
    const since = pace.enter()
    const steps = request()
    const waitMs = pace.leave(this.#account, since)
    if (waitMs === 0 && steps === undefined) return
    this.hold()
    this.#wait(waitMs, steps?.values())
  }

  #later(request: () => readonly (() => void)[] | undefined): void {
    let steps: Iterator<() => void> | undefined
    this.hold()
    this.#options.pace.run(
      this.#account,
      () => {
        steps = request()?.values()
      },
      waitMs => {
        this.#wait(waitMs, steps)
      },
    )
  }

  /** Goes on with the steps that are left when the pace allows. */
  #wait(waitMs: number, steps: Iterator<() => void> | undefined): void {
    const { clock, onGreedy } = this.#options
    const goOn = (): void => {
      const step = steps?.next()
      if (step === undefined || step.done === true) this.release()
      else
        this.#options.pace.run(this.#account, step.value, waitedMs => {
          this.#wait(waitedMs, steps)
        })
    }
    if (waitMs > longestWaitMs) onGreedy()
    if (waitMs === 0) goOn()
    else clock.timer(Math.min(waitMs, longestWaitMs), goOn)
  }
}
