import type { Screen } from './screen.ts'
import type { Stack } from './stack.ts'

/** Long enough to watch the traffic move before an instance that was killed comes back. */
const instanceDelayMs = 20_000
const restartDelayMs = 2_000

export interface KeepRunningOptions {
  readonly stack: () => Stack
  readonly screen: Screen
  readonly signal: AbortSignal
}

/** Starts again what ended by itself or was killed from outside while `npm run up` runs. */
export class KeepRunning {
  readonly #options: KeepRunningOptions
  /** name -> when it is started again (ms, monotonic). */
  readonly #due = new Map<string, number>()

  constructor(options: KeepRunningOptions) {
    this.#options = options
  }

  /** What is about to be started again: `payments-2 ended; it starts again in 14 s`. */
  get waiting(): string[] {
    return [...this.#due].map(([name, due]) => {
      const left = Math.max(0, Math.ceil((due - performance.now()) / 1_000))
      return `${name} ended; it starts again in ${left} s`
    })
  }

  ended(process: string): void {
    const { screen, signal } = this.#options
    if (signal.aborted) return
    const name = process.replace(/-envoy$/, '')
    if (this.#due.has(name)) return
    const sample = name !== 'postgres' && name !== 'control-plane'
    const delay = sample ? instanceDelayMs : restartDelayMs
    this.#due.set(name, performance.now() + delay)
    if (!screen.live) screen.note(`${process} ended; it starts again in ${delay / 1_000} s`)
    const timer = setTimeout(() => {
      this.#due.delete(name)
      if (!signal.aborted) void this.#start(name)
    }, delay)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
    })
  }

  async #start(name: string): Promise<void> {
    const { stack, screen, signal } = this.#options
    const { postgres, controlPlane, mesh } = stack()
    try {
      if (name === 'postgres') await postgres?.start()
      else if (name === 'control-plane') await controlPlane.start()
      else mesh?.instances.find(instance => instance.name === name)?.start()
    } catch (error) {
      if (signal.aborted) return
      screen.note(`${name} did not start: ${error instanceof Error ? error.message : 'no reason'}`)
      this.ended(name)
    }
  }
}
