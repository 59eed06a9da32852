import { waitFor } from '@waymark/deploy/local/wait.ts'

/**
 * Waits until `probe` gives something other than null, undefined or false; a probe that throws (a failed
 * `expect`) counts as not yet, and its last words are in the error at the end.
 */
export const eventually = <T>(
  what: string,
  probe: () => T | Promise<T>,
  timeoutMs = 60_000,
): Promise<Exclude<T, null | undefined | false>> => waitFor(probe, { what, timeoutMs, intervalMs: 20 })

/** Like `eventually`, for a block of assertions without a result. */
export const eventuallyHolds = async (
  what: string,
  assertions: () => void | Promise<void>,
  timeoutMs = 60_000,
): Promise<void> => {
  await eventually(
    what,
    async () => {
      await assertions()
      return true
    },
    timeoutMs,
  )
}
