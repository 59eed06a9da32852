import { setTimeout as delay } from 'node:timers/promises'

export interface WaitOptions {
  /** What is waited for, for the error: "Postgres to accept connections". */
  readonly what: string
  readonly timeoutMs: number
  readonly intervalMs?: number
  /** Ends the waiting with an error when there is no more hope: the process has ended. */
  readonly failed?: () => Error | null
  readonly signal?: AbortSignal | undefined
}

/** The condition did not come true in time. `last` is the last error of the probe, if it threw. */
export class WaitTimeoutError extends Error {
  override readonly name = 'WaitTimeoutError'
}

/**
 * Calls `probe` until it gives something other than null, undefined or false. A probe that throws counts as
 * "not yet". Rejects with `WaitTimeoutError`, with the error of `failed`, or with the reason of `signal`.
 */
export const waitFor = async <T>(
  probe: () => T | Promise<T>,
  { what, timeoutMs, intervalMs = 25, failed, signal }: WaitOptions,
): Promise<Exclude<T, null | undefined | false>> => {
  const deadline = performance.now() + timeoutMs
  let last: unknown
  for (;;) {
    signal?.throwIfAborted()
    const error = failed?.() ?? null
    if (error !== null) throw error
    try {
      const value = await probe()
      if (value !== null && value !== undefined && value !== false)
        return value as Exclude<T, null | undefined | false>
      last = undefined
    } catch (error) {
      last = error
    }
    if (performance.now() >= deadline) {
      const why = last instanceof Error ? ` (${last.message})` : ''
      throw new WaitTimeoutError(`Waited ${timeoutMs / 1_000} s for ${what}, in vain${why}.`, { cause: last })
    }
    // When aborted it rejects with an error of its own; the reason is thrown at the top.
    await delay(intervalMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
  }
}

/** True when `promise` settles within `ms`. */
export const settlesWithin = async (promise: Promise<unknown>, ms: number): Promise<boolean> => {
  const controller = new AbortController()
  try {
    return await Promise.race([
      promise.then(
        () => true,
        () => true,
      ),
      delay(ms, false, { signal: controller.signal }).catch(() => false),
    ])
  } finally {
    controller.abort()
  }
}
