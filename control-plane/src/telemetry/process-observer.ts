import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Observed } from './observed.ts'

const resolutionMs = 10

/** Memory, processor time and event-loop delay of this process. The delay is only measured while it is started. */
export class ProcessObserver {
  #delay: ReturnType<typeof monitorEventLoopDelay> | null = null

  start(): void {
    this.#delay ??= monitorEventLoopDelay({ resolution: resolutionMs })
    this.#delay.enable()
  }

  stop(): void {
    this.#delay?.disable()
    this.#delay = null
  }

  /** Reading starts a new interval of the event-loop delay. */
  read(): Observed['process'] {
    const { rss, heapUsed } = process.memoryUsage()
    const { user, system } = process.cpuUsage()
    return {
      rssBytes: rss,
      heapUsedBytes: heapUsed,
      cpuSeconds: (user + system) / 1e6,
      uptimeSeconds: process.uptime(),
      loopDelaySeconds: this.#loopDelay(),
    }
  }

  #loopDelay(): Observed['process']['loopDelaySeconds'] {
    const delay = this.#delay
    if (delay === null || delay.count === 0) return { p50: 0, p99: 0, max: 0 }
    // The histogram holds the whole time between two samples, the interval asked for included.
    const seconds = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - resolutionMs / 1e3)
    const read = {
      p50: seconds(delay.percentile(50)),
      p99: seconds(delay.percentile(99)),
      max: seconds(delay.max),
    }
    delay.reset()
    return read
  }
}
