import type { Clock } from '../runtime/clock.ts'
import type { Component } from '../runtime/component.ts'
import type { Logger } from '../runtime/logger.ts'

interface RetentionOptions {
  /** Drops what is old enough; returns the names of the dropped partitions. */
  readonly drop: () => Promise<readonly string[]>
  readonly clock: Clock
  readonly logger: Logger
  readonly intervalMs?: number
}

/** Keeps the log from growing for ever. Every replica may run it at once: a dropped partition is dropped once. */
export class Retention implements Component {
  readonly name = 'retention'
  readonly #options: RetentionOptions

  constructor(options: RetentionOptions) {
    this.#options = options
  }

  async start(signal: AbortSignal): Promise<void> {
    const { drop, clock, logger, intervalMs = 600_000 } = this.#options
    while (!signal.aborted) {
      try {
        const partitions = await drop()
        if (partitions.length > 0) logger.info({ partitions }, 'old partitions of the log dropped')
      } catch (error) {
        logger.warn({ error: String(error) }, 'old partitions of the log could not be dropped')
      }
      await clock.sleep(intervalMs, signal)
    }
  }
}
