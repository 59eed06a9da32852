import type { Clock } from '../runtime/clock.ts'
import { DeliveryError } from './sink.ts'

export interface TimeLimit {
  readonly ms: number
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Who does not answer. */
  readonly what: string
}

/**
 * The result of `work` if it comes in time; rejects as retryable otherwise, or when the signal aborts. The work
 * itself goes on: its owner closes what it works with.
 */
export const withinTime = <T>(work: Promise<T>, { ms, clock, signal, what }: TimeLimit): Promise<T> =>
  new Promise((resolve, reject) => {
    const fail = (message: string): void => {
      done()
      reject(new DeliveryError(message, { kind: 'retryable' }))
    }
    const aborted = (): void => {
      fail('stopped while it was delivering')
    }
    const timer = clock.timer(ms, () => {
      fail(`no answer from ${what} within ${ms} ms`)
    })
    const done = (): void => {
      timer.cancel()
      signal.removeEventListener('abort', aborted)
    }
    signal.addEventListener('abort', aborted, { once: true })
    work.finally(done).then(resolve, reject)
  })
