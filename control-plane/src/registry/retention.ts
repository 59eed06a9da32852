import type { Clock } from '../runtime/clock.ts'
import type { Component } from '../runtime/component.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Database } from '../store/database.ts'
import { OwnedRole } from '../store/owned-role.ts'
import { dropOldPartitions, type RetentionRule } from '../store/retention.ts'
import type { RoleTable } from '../store/role-table.ts'

const roleName = 'retention'

interface RetentionOptions extends RetentionRule {
  readonly database: Database
  readonly roles: RoleTable
  /** This replica's id. */
  readonly owner: string
  readonly clock: Clock
  readonly logger: Logger
  readonly intervalMs?: number
}

/** Keeps the log from growing for ever. One replica at a time does it. */
export class Retention implements Component {
  readonly name = 'retention'
  readonly #options: RetentionOptions
  readonly #role: OwnedRole

  constructor(options: RetentionOptions) {
    this.#options = options
    this.#role = new OwnedRole({ ...options, name: roleName })
  }

  async start(signal: AbortSignal): Promise<void> {
    const { clock, intervalMs = 60_000 } = this.#options
    await this.#role.run(signal, async ({ fence, signal: lost }) => {
      while (!lost.aborted) {
        await this.#step(fence)
        await clock.sleep(intervalMs, lost)
      }
    })
  }

  /** What fails now is tried again the next time: nothing depends on it soon. */
  async #step(fence: number): Promise<void> {
    const { logger } = this.#options
    try {
      const partitions = await dropOldPartitions({ ...this.#options, fence: { role: roleName, fence } })
      if (partitions.length > 0)
        logger.info({ partitions: partitions.map(({ name }) => name) }, 'old partitions of the log dropped')
      for (const { name, missedBy } of partitions)
        if (missedBy.length > 0)
          logger.error({ partition: name, sinks: missedBy }, 'sinks that waited too long will miss changes')
    } catch (error) {
      logger.warn({ error: String(error) }, 'old partitions of the log could not be dropped')
    }
  }
}
