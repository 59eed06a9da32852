import type { CheckSpec } from '@waymark/sidecar-config/model/check.ts'
import type { Clock } from '../../runtime/clock.ts'

export interface ProbeTarget {
  /** An IP address. */
  readonly address: string
  readonly port: number
}

export interface ProbeResult {
  readonly ok: boolean
  /** What was seen, in a few words. */
  readonly output: string
  /** The target used up its timeout. */
  readonly timedOut: boolean
  /** This process was stopped or too busy to see an answer in time: the result says nothing about the target. */
  readonly missed?: boolean
}

/** Runs a check once. Never rejects: whatever goes wrong, also an abort, is a failed result. */
export type Probe = (check: CheckSpec, target: ProbeTarget, signal: AbortSignal) => Promise<ProbeResult>

export interface ProbeContext {
  readonly target: ProbeTarget
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** A timeout that fires this much late (ms) finds answers that lie unread: the process was paused, or is overloaded. */
const maxTimerDelayMs = 250

/**
 * Runs `begin` until it calls `finish`, its time is over, or it is aborted; then calls what `begin` returned, to
 * tear it down, and resolves. Only the first end counts.
 */
export const withinTimeout = (
  { clock, signal }: ProbeContext,
  timeoutMs: number,
  begin: (finish: (result: ProbeResult) => void) => () => void,
): Promise<ProbeResult> =>
  new Promise(resolve => {
    let ended = false as boolean
    let tearDown: (() => void) | null = null
    const finish = (result: ProbeResult): void => {
      if (ended) return
      ended = true
      timer.cancel()
      signal.removeEventListener('abort', stopped)
      tearDown?.()
      resolve(result)
    }
    const stopped = (): void => {
      finish({ ok: false, output: 'stopped', timedOut: false })
    }
    const due = clock.monotonic() + timeoutMs
    const timer = clock.timer(timeoutMs, () => {
      const missed = clock.monotonic() - due > maxTimerDelayMs
      // Timers run before what has arrived is read: an answer that lies there came in time.
      clock.soon(() => {
        finish({
          ok: false,
          output: `no answer within ${timeoutMs} ms`,
          timedOut: true,
          ...(missed ? { missed } : {}),
        })
      })
    })
    signal.addEventListener('abort', stopped, { once: true })
    const begun = begin(finish)
    // `begin` may have finished already, before there was anything to tear down.
    if (ended) begun()
    else tearDown = begun
    if (signal.aborted) stopped()
  })

/** A failure to begin, such as a certificate that cannot be read, is a result like any other. */
export const beginOr = (
  finish: (result: ProbeResult) => void,
  describe: (error: unknown) => string,
  begin: () => () => void,
): (() => void) => {
  try {
    return begin()
  } catch (error) {
    finish({ ok: false, output: describe(error), timedOut: false })
    return () => undefined
  }
}
