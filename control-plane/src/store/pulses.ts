import type { EvidenceSource, EvidenceStatus } from '../domain/evidence.ts'
import type { Database } from './database.ts'
import { reading } from './unavailable.ts'

/** When an instance's evidence was last confirmed. ISO 8601, Postgres time. */
export interface PulseRow {
  readonly leaseSeenAt: string | null
  readonly observations: readonly {
    readonly source: EvidenceSource
    readonly observer: string
    readonly status: EvidenceStatus
    readonly observedAt: string
  }[]
}

/** Reads what the log does not carry: heartbeats and the confirmations of checks. */
export class Pulses {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async readPulse(service: string, id: string): Promise<PulseRow> {
    return reading(async () => {
      const lease = await this.#database
        .selectFrom('lease')
        .select('seen_at')
        .where('service', '=', service)
        .where('id', '=', id)
        .executeTakeFirst()
      const observations = await this.#database
        .selectFrom('observation')
        .select(['source', 'observer', 'status', 'observed_at'])
        .where('service', '=', service)
        .where('id', '=', id)
        .execute()
      return {
        leaseSeenAt: lease?.seen_at.toISOString() ?? null,
        // Sources and statuses are what ObservationTable wrote.
        observations: observations.map(row => ({
          source: row.source as EvidenceSource,
          observer: row.observer,
          status: row.status as EvidenceStatus,
          observedAt: row.observed_at.toISOString(),
        })),
      }
    })
  }
}
