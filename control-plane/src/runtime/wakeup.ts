import type { Clock } from './clock.ts'

/** Lets one loop wait for "there is something to do". A call before the wait is not lost. */
export class Wakeup {
  #pending = false
  #resolve: (() => void) | null = null

  /** Ends the current wait, or makes the next one return at once. */
  call(): void {
    this.#pending = true
    this.#resolve?.()
  }

  /** Resolves when called, after `timeout.ms` if given, or when `signal` aborts. One waiter at a time. */
  async wait(signal: AbortSignal, timeout?: { readonly clock: Clock; readonly ms: number }): Promise<void> {
    if (!this.#pending && !signal.aborted) {
      await new Promise<void>(resolve => {
        const done = (): void => {
          timer?.cancel()
          signal.removeEventListener('abort', done)
          this.#resolve = null
          resolve()
        }
        const timer = timeout?.clock.timer(timeout.ms, done)
        this.#resolve = done
        signal.addEventListener('abort', done)
      })
    }
    this.#pending = false
  }
}
