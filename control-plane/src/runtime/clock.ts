import { setTimeout as delay } from 'node:timers/promises'

/** A pending call; cancelling one that has run does nothing. */
export interface Timer {
  cancel(): void
}

/** The only source of time and timers in the control plane. Never decides expiry: that is Postgres's clock. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Milliseconds, never going backwards, from an arbitrary start. */
  monotonic(): number
  /** Calls `run` once after `ms`; does not keep the process alive. */
  timer(ms: number, run: () => void): Timer
  /** Calls `run` in a later turn of the event loop, after pending input and output. */
  soon(run: () => void): void
  /** Resolves after `ms`, or at once when `signal` aborts (it never rejects). */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  timer: (ms, run) => {
    const handle = setTimeout(run, ms)
    handle.unref()
    return {
      cancel: () => {
        clearTimeout(handle)
      },
    }
  },
  soon: run => {
    setImmediate(run)
  },
  sleep: async (ms, signal) => {
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal })
    } catch {
      // aborted: the caller looks at its signal
    }
  },
}
