import type { Clock } from '../runtime/clock.ts'
import type { Component } from '../runtime/component.ts'
import type { Logger } from '../runtime/logger.ts'
import { Wakeup } from '../runtime/wakeup.ts'
import type { StreamStatus } from '../xds/status/status.ts'

/** The streams of this replica: xds/xds-server.ts. */
export interface Streams {
  streams(): StreamStatus[]
  stream(node: string): StreamStatus | undefined
  onStatus(listener: (nodes: ReadonlySet<string>) => void): () => void
}

/** Where statuses are shared between replicas: store/sidecar-table.ts. */
export interface SidecarStore {
  save(entries: readonly { readonly node: string; readonly status: StreamStatus }[]): Promise<void>
  end(nodes: readonly string[]): Promise<void>
  forget(): Promise<void>
}

export interface SidecarReporterOptions {
  readonly streams: Streams
  readonly store: SidecarStore
  readonly clock: Clock
  readonly logger: Logger
  /** The least time between two writes (ms). */
  readonly pauseMs?: number
}

/** While nothing happens everything is written again this often (ms): after a crash the table is empty. */
const refreshMs = 30_000
/** Statuses of one statement. */
const saveLimit = 500

/**
 * Writes down what each sidecar of this replica has, so that every replica can tell. Statuses are read when they
 * are written: however often one changes meanwhile, it is written once.
 */
export class SidecarReporter implements Component {
  readonly name = 'sidecar-reporter'
  readonly #options: SidecarReporterOptions
  readonly #wakeup = new Wakeup()
  #dirty = new Set<string>()

  constructor(options: SidecarReporterOptions) {
    this.#options = options
  }

  async start(signal: AbortSignal): Promise<void> {
    const { streams, clock, logger, pauseMs = 500 } = this.#options
    const unlisten = streams.onStatus(nodes => {
      for (const node of nodes) this.#dirty.add(node)
      this.#wakeup.call()
    })
    let refreshAt = 0
    while (!signal.aborted) {
      if (clock.monotonic() >= refreshAt) {
        refreshAt = clock.monotonic() + refreshMs
        for (const { node } of streams.streams()) this.#dirty.add(node)
        await this.#attempt(() => this.#options.store.forget())
      }
      await this.#attempt(() => this.step())
      await clock.sleep(pauseMs, signal)
      await this.#wakeup.wait(signal, { clock, ms: Math.max(1, refreshAt - clock.monotonic()) })
    }
    unlisten()
    await this.#attempt(() => this.step())
    logger.debug({}, 'sidecar reporter ended')
  }

  /** Writes what has changed; what could not be written stays to be written. */
  async step(): Promise<void> {
    const { streams, store } = this.#options
    const nodes = [...this.#dirty].slice(0, saveLimit)
    if (nodes.length === 0) return
    for (const node of nodes) this.#dirty.delete(node)
    const entries = nodes.flatMap(node => {
      const status = streams.stream(node)
      return status === undefined ? [] : [{ node, status }]
    })
    const gone = nodes.filter(node => streams.stream(node) === undefined)
    try {
      await store.save(entries)
      await store.end(gone)
    } catch (error) {
      for (const node of nodes) this.#dirty.add(node)
      throw error
    }
    if (this.#dirty.size > 0) await this.step()
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#options.logger.debug({ error: String(error) }, 'sidecar statuses could not be written')
    }
  }
}
