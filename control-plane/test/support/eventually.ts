import { vi } from 'vitest'

/** Waits until `condition` stops throwing; generous, because a busy machine is no failure. */
export const eventually = <T>(
  condition: () => T | Promise<T>,
  { intervalMs = 10 }: { readonly intervalMs?: number } = {},
): Promise<T> => vi.waitFor(condition, { timeout: 30_000, interval: intervalMs })
