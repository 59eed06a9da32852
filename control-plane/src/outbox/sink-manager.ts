import type { Component } from '../runtime/component.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import { Wakeup } from '../runtime/wakeup.ts'
import type { SinkIdentity } from './outbox-store.ts'
import type { Publisher, SinkStatus } from './publisher.ts'
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
  /** Removes what is kept of sinks whose document is gone: `store/sink-table.ts`. */
  readonly forget: () => Promise<readonly string[]>
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
const forgetEveryMs = 60_000
const forgetRetryMs = 5_000

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
  readonly #forget = new Wakeup()
  readonly #failed = Promise.withResolvers<undefined>()
  #signal: AbortSignal | null = null
  #ignored: ReadonlySet<string> = new Set()

  constructor(options: SinkManagerOptions) {
    this.#options = options
  }

  /** In order of their names. */
  status(): SinkStatus[] {
    return [...this.#running.values()]
      .map(({ publisher }) => publisher.status())
      .sort((a, b) => (a.sink < b.sink ? -1 : 1))
  }

  identity(name: string): SinkIdentity | undefined {
    const definition = this.#running.get(name)?.definition
    return definition === undefined
      ? undefined
      : { sink: name, start: definition.start, origin: definition.origin }
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
          this.#forget.call()
        })
    }
    for (const [name, definition] of wanted) if (!this.#running.has(name)) this.#run(definition)
  }

  async start(signal: AbortSignal): Promise<void> {
    this.#signal = signal
    this.reconcile()
    await Promise.race([this.#forgetting(signal), this.#failed.promise])
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
  async #forgetting(signal: AbortSignal): Promise<void> {
    const { forget, clock, logger } = this.#options
    while (!signal.aborted) {
      let ms = forgetEveryMs
      try {
        for (const sink of await forget()) logger.info({ sink }, 'a sink was forgotten')
      } catch {
        // The feed notices and reports the same outage.
        ms = forgetRetryMs
      }
      await this.#forget.wait(signal, { clock, ms })
    }
  }
}
