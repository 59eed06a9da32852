import type { Component } from '../runtime/component.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import { Wakeup } from '../runtime/wakeup.ts'
import type { OrphanedSinks } from './orphaned-sinks.ts'
import type { SinkIdentity } from './outbox-store.ts'
import type { Publisher } from './publisher.ts'
import type { SinkStatus } from './sink-status.ts'
import type { SinkDefinition } from './sink-definition.ts'

/** What the manager needs of a publisher. */
export type SinkPublisher = Pick<Publisher, 'start' | 'status' | 'wake' | 'observe'>

export interface SinkManagerOptions {
  /** From this replica's environment; they come before documents of the same name. */
  readonly configured: readonly SinkDefinition[]
  /** The sinks of the documents, as they are now. */
  readonly documents: () => readonly SinkDefinition[]
  /** Not started yet. */
  readonly createPublisher: (definition: SinkDefinition) => SinkPublisher
  readonly orphans: Pick<OrphanedSinks, 'look' | 'statuses'>
  readonly clock: Clock
  readonly logger: Logger
}

interface Running {
  readonly definition: SinkDefinition
  readonly publisher: SinkPublisher
  readonly abort: AbortController
  readonly ended: Promise<void>
}

/** Each has a publisher and polls the database: a mesh has a handful. */
const sinkLimit = 64
const lookEveryMs = 60_000
const lookRetryMs = 5_000

/**
 * Runs a publisher for each sink of the configuration and of the documents, from `start` on, and follows the
 * documents: a sink whose document has changed stops, and begins again where it was.
 */
export class SinkManager implements Component {
  readonly name = 'sinks'
  readonly #options: SinkManagerOptions
  readonly #running = new Map<string, Running>()
  /** What runs of a sink has to end before the next one begins. */
  readonly #ending = new Map<string, Promise<void>>()
  readonly #look = new Wakeup()
  readonly #failed = Promise.withResolvers<undefined>()
  #signal: AbortSignal | null = null
  #ignored: ReadonlySet<string> = new Set()

  constructor(options: SinkManagerOptions) {
    this.#options = options
  }

  /** In order of their names. */
  status(): SinkStatus[] {
    const running = [...this.#running.values()].map(({ publisher }) => publisher.status())
    const orphans = this.#options.orphans.statuses.filter(({ sink }) => !this.#running.has(sink))
    return [...running, ...orphans].sort((a, b) => (a.sink < b.sink ? -1 : 1))
  }

  identity(name: string): SinkIdentity | undefined {
    const definition = this.#running.get(name)?.definition
    if (definition !== undefined) return { sink: name, start: definition.start, origin: definition.origin }
    const orphaned = this.#options.orphans.statuses.some(({ sink }) => sink === name)
    return orphaned ? { sink: name, start: 'oldest', origin: 'configuration' } : undefined
  }

  /** Looks at once for what is left of sinks that are no more. Rejects with `database_unavailable`. */
  async lookForOrphans(): Promise<void> {
    await this.#options.orphans.look()
  }

  /** Whether this replica publishes to it, or would if it owned it. */
  runs(name: string): boolean {
    return this.#running.has(name)
  }

  /** Why a document of this name would not become a sink here; null: it would. */
  refuses(name: string): string | null {
    const { configured, documents } = this.#options
    if (configured.some(definition => definition.name === name))
      return 'the configuration has a sink of this name'
    const known = documents()
    if (known.some(definition => definition.name === name)) return null
    return configured.length + known.length < sinkLimit ? null : `there are ${sinkLimit} sinks already`
  }

  /** Something new may be in the log. */
  wake(): void {
    for (const { publisher } of this.#running.values()) publisher.wake()
  }

  /** Looks at once at what is wanted of a sink. */
  async observe(name: string): Promise<void> {
    await this.#running.get(name)?.publisher.observe()
  }

  /** The documents may have changed. */
  reconcile(): void {
    if (this.#signal === null || this.#signal.aborted) return
    const wanted = this.#wanted()
    for (const [name, { definition, abort, ended }] of this.#running) {
      if (wanted.get(name)?.version === definition.version) continue
      this.#running.delete(name)
      this.#ending.set(name, ended)
      abort.abort()
      if (!wanted.has(name))
        void ended.then(() => {
          this.#look.call()
        })
    }
    for (const [name, definition] of wanted) if (!this.#running.has(name)) this.#run(definition)
  }

  async start(signal: AbortSignal): Promise<void> {
    this.#signal = signal
    this.reconcile()
    await Promise.race([this.#looking(signal), this.#failed.promise])
    await Promise.all([...[...this.#running.values()].map(({ ended }) => ended), ...this.#ending.values()])
  }

  #wanted(): Map<string, SinkDefinition> {
    const { configured, documents, logger } = this.#options
    const wanted = new Map(configured.map(definition => [definition.name, definition]))
    const ignored = new Set<string>()
    for (const definition of documents()) {
      if (wanted.has(definition.name) || wanted.size >= sinkLimit) ignored.add(definition.name)
      else wanted.set(definition.name, definition)
    }
    for (const sink of ignored)
      if (!this.#ignored.has(sink))
        logger.error(
          { sink, limit: sinkLimit },
          'a document is no sink here: its name is taken, or there are too many',
        )
    this.#ignored = ignored
    return wanted
  }

  #run(definition: SinkDefinition): void {
    const { name } = definition
    const publisher = this.#options.createPublisher(definition)
    const abort = new AbortController()
    const signal = this.#signal === null ? abort.signal : AbortSignal.any([this.#signal, abort.signal])
    const before = this.#ending.get(name) ?? Promise.resolve()
    const ended = before
      .then(() => publisher.start(signal))
      .catch((error: unknown) => {
        this.#failed.reject(error)
      })
      .finally(() => {
        if (this.#ending.get(name) === ended) this.#ending.delete(name)
      })
    this.#running.set(name, { definition, publisher, abort, ended })
  }

  /** At the start, when a document has gone, and now and then for what another replica did not come to. */
  async #looking(signal: AbortSignal): Promise<void> {
    const { orphans, clock } = this.#options
    while (!signal.aborted) {
      let ms = lookEveryMs
      try {
        await orphans.look()
      } catch {
        // The feed notices and reports the same outage.
        ms = lookRetryMs
      }
      await this.#look.wait(signal, { clock, ms })
    }
  }
}
