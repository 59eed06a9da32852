import type { ServerHttp2Session } from 'node:http2'
import type { Clock } from '../../runtime/clock.ts'
import { pendingInput } from './pending-input.ts'

interface KeepaliveOptions {
  readonly clock: Pick<Clock, 'monotonic' | 'sleep' | 'soon'>
  /** A connection that has been silent for as long is pinged. */
  readonly keepaliveMs: number
  /** One that stays silent for as long after that is closed. */
  readonly keepaliveTimeoutMs: number
}

/** What was last known of a connection. */
interface Followed {
  /** Read from it so far. */
  bytes: number
  /** When it was first looked at after its last byte. */
  heardAt: number
  pingedAt: number | undefined
}

/** In `keepaliveTimeoutMs`: how often it looks, and so how exact the times are. */
const looks = 4
/** Connections in one turn of the event loop: those that are looked at, and those that are pinged. */
const lookLimit = 2_000
const pingLimit = 50

/**
 * Finds the clients that have vanished without a word. Any byte shows that a client is there, so only silent ones are
 * pinged; gRPC's own keepalive pings each connection however much comes from it, with timers and closures for each.
 */
export class Keepalive {
  readonly #options: KeepaliveOptions
  readonly #followed = new Map<ServerHttp2Session, Followed>()

  constructor(options: KeepaliveOptions) {
    this.#options = options
  }

  /** From now on, until it is closed. */
  follow(session: ServerHttp2Session): void {
    const heardAt = this.#options.clock.monotonic()
    this.#followed.set(session, { bytes: 0, heardAt, pingedAt: undefined })
    session.once('close', () => {
      this.#followed.delete(session)
    })
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, keepaliveTimeoutMs } = this.#options
    while (!signal.aborted) {
      await pendingInput(this.#options.clock)
      await this.step()
      await clock.sleep(Math.max(10, keepaliveTimeoutMs / looks), signal)
    }
  }

  /** Looks at every connection once. */
  async step(): Promise<void> {
    let looked = 0
    let pinged = 0
    for (const [session, followed] of this.#followed) {
      looked += 1
      if (this.#look(session, followed)) pinged += 1
      if (looked < lookLimit && pinged < pingLimit) continue
      looked = 0
      pinged = 0
      await new Promise<void>(resolve => {
        this.#options.clock.soon(resolve)
      })
    }
  }

  /** True when it has been pinged. */
  #look(session: ServerHttp2Session, followed: Followed): boolean {
    if (session.destroyed) return false
    const { clock, keepaliveMs, keepaliveTimeoutMs } = this.#options
    const now = clock.monotonic()
    const bytes = session.socket.bytesRead
    if (bytes !== followed.bytes) {
      followed.bytes = bytes
      followed.heardAt = now
      followed.pingedAt = undefined
      return false
    }
    if (followed.pingedAt !== undefined) {
      if (now - followed.pingedAt >= keepaliveTimeoutMs) session.destroy()
      return false
    }
    if (now - followed.heardAt < keepaliveMs) return false
    followed.pingedAt = now
    // Its answer is seen as bytes; without one the next looks end the connection.
    session.ping(() => undefined)
    return true
  }
}
