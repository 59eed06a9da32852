import { WaymarkError } from '../domain/errors.ts'
import type { Revision } from '../domain/revision.ts'
import type { SinkTable } from '../store/sink-table.ts'
import { eventSchema, eventTypes } from './event-schemas.ts'
import type { SinkIdentity } from './outbox-store.ts'
import type { SinkManager } from './sink-manager.ts'
import type { SinkStatus } from './sink-status.ts'

export interface SinkControlOptions {
  readonly manager: Pick<
    SinkManager,
    'status' | 'identity' | 'refuses' | 'observe' | 'runs' | 'lookForOrphans'
  >
  readonly table: SinkTable
}

/** What operators ask of sinks: stored for the owner, and noticed at once if that is this replica. */
export class SinkControl {
  readonly eventTypes = eventTypes
  readonly #options: SinkControlOptions

  constructor(options: SinkControlOptions) {
    this.#options = options
  }

  eventSchema(type: string): object | undefined {
    return eventSchema(type)
  }

  list(): readonly SinkStatus[] {
    return this.#options.manager.status()
  }

  get(sink: string): SinkStatus {
    const found = this.list().find(status => status.sink === sink)
    if (found === undefined) throw notFound(sink)
    return found
  }

  refuses(sink: string): string | null {
    return this.#options.manager.refuses(sink)
  }

  async pause(sink: string, by: string): Promise<void> {
    await this.#wish(sink, identity => this.#options.table.pause(identity, by))
  }

  async resume(sink: string): Promise<void> {
    await this.#wish(sink, identity => this.#options.table.resume(identity))
  }

  async replay(sink: string, from: Revision | 'oldest'): Promise<Revision> {
    return this.#wish(sink, async identity => {
      try {
        return await this.#options.table.replay(identity, from)
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
        throw new WaymarkError('invalid_request', error.message, {
          fields: [
            {
              pointer: '/from',
              detail: error.message,
              accepted: '"oldest", or a revision that the log has, or the next one',
            },
          ],
        })
      }
    })
  }

  async retryParked(sink: string): Promise<void> {
    await this.#wish(sink, identity => this.#options.table.retry(identity))
  }

  async parked(query: Parameters<SinkTable['parked']>[0]): ReturnType<SinkTable['parked']> {
    this.#identity(query.sink)
    return this.#options.table.parked(query)
  }

  async dropParked(sink: string, id: string): Promise<void> {
    const dropped = await this.#wish(sink, identity => this.#options.table.drop(identity, id))
    if (!dropped) throw new WaymarkError('parked_event_not_found', `${sink} has no parked event ${id}`)
  }

  async dropParkedOf(
    sink: string,
    aggregate: { readonly aggregateType: string; readonly aggregateId: string },
  ): Promise<number> {
    return this.#wish(sink, identity => this.#options.table.dropAggregate(identity, aggregate))
  }

  /** Removes what is kept of a sink that no replica has in its configuration any more. */
  async forget(sink: string): Promise<void> {
    const { manager, table } = this.#options
    const { origin } = this.#identity(sink)
    if (manager.runs(sink)) {
      const where = origin === 'document' ? 'it has a document' : 'it is in the configuration of this replica'
      throw new WaymarkError('sink_in_use', `${sink} is in use: ${where}`)
    }
    const forgotten = await table.forgetOrphan(sink)
    await manager.lookForOrphans()
    if (!forgotten) throw new WaymarkError('sink_in_use', `${sink} is in use: a replica has it again`)
  }

  async #wish<T>(sink: string, ask: (identity: SinkIdentity) => Promise<T>): Promise<T> {
    const answer = await ask(this.#identity(sink))
    await this.#options.manager.observe(sink)
    return answer
  }

  #identity(sink: string): SinkIdentity {
    const identity = this.#options.manager.identity(sink)
    if (identity === undefined) throw notFound(sink)
    return identity
  }
}

const notFound = (sink: string): WaymarkError =>
  new WaymarkError('sink_not_found', `there is no sink ${sink}`)
