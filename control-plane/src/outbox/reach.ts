import type { OutboxCursor } from '../domain/outbox.ts'
import type { Revision } from '../domain/revision.ts'
import type { SinkProgress } from './outbox-store.ts'

/**
 * How far a sink has been given the log, as this replica has seen it, whoever delivered. A log that ends before that is
 * another one, restored from a backup, and the sink has to be told. Outlives the sessions and the role, which a restore
 * takes longer than.
 */
export class Reach {
  #revision: Revision = 0
  /** Of the last gap that the sink was told of. */
  #toldAt = ''

  get revision(): Revision {
    return this.#revision
  }

  /** What the database says. */
  observe({ cursor, gap }: Pick<SinkProgress, 'cursor' | 'gap'>): void {
    if (gap !== null && gap.at > this.#toldAt) {
      this.#toldAt = gap.at
      this.#revision = 0
    }
    if (cursor !== null) this.delivered(cursor)
  }

  delivered({ revision }: OutboxCursor): void {
    this.#revision = Math.max(this.#revision, revision)
  }

  /** It knows that the log goes on from here. */
  told({ revision }: OutboxCursor): void {
    this.#revision = revision
  }
}
