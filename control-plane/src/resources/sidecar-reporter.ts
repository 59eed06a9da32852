import type { Revision } from '../domain/revision.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Component } from '../runtime/component.ts'
import type { Logger } from '../runtime/logger.ts'
import { Wakeup } from '../runtime/wakeup.ts'
import { isSettled } from '../xds/status/settled.ts'
import type { StreamStatus } from '../xds/status/status.ts'
import type { StreamGlance } from '../xds/status/stream-glance.ts'
import { unsettled } from '../xds/status/stream-shape.ts'
import { WrittenStatuses, type Verdict } from './written-statuses.ts'

/** The streams of this replica: xds/status/stream-book.ts. */
export interface Streams {
  readonly nodes: Iterable<string>
  stream(node: string): StreamStatus | undefined
  glance(node: string): StreamGlance | undefined
  collect(onFirst: () => void): { take(): Set<string>; await(node: string): void; end(): void }
}

/** Where statuses are shared between replicas: store/sidecar-table.ts. */
export interface SidecarStore {
  save(entries: readonly { readonly node: string; readonly status: StreamStatus }[]): Promise<void>
  end(nodes: readonly string[]): Promise<void>
  /** True when there was no such row, although this replica may have written it before: the database has crashed. */
  cover(revision: Revision): Promise<boolean>
  forget(): Promise<void>
}

export interface SidecarReporterOptions {
  readonly streams: Streams
  /** The current revision of what the streams are about. */
  readonly revision: () => Revision
  readonly store: SidecarStore
  readonly clock: Clock
  readonly logger: Logger
  /** The least time between two writes (ms). */
  readonly pauseMs?: number
}

/** The row that covers is written at least so often: when it is missing, so are all others. */
const coverMs = 30_000
/** Each row is written again within this time: when the client was last heard changes without a word. */
const refreshMs = 120_000
/**
 * Sidecars that have fallen behind written in one step. In a replica that has more to do than it can all are behind, and
 * to write down each of them would make it worse.
 */
const behindLimit = 500
/** Statuses of one statement, read in one turn of the event loop. */
const saveLimit = 500

/**
 * Writes down what each sidecar of this replica has, so that every replica can tell. A sidecar that has everything
 * is written once; from then on one row for all of them says up to which revision that is so (`SidecarStore.cover`).
 * So a change that all take at once costs one row, and not one for each sidecar that it touches.
 */
export class SidecarReporter implements Component {
  readonly name = 'sidecar-reporter'
  readonly #options: SidecarReporterOptions
  readonly #wakeup = new Wakeup()
  readonly #collected: ReturnType<Streams['collect']>
  readonly #written = new WrittenStatuses()
  /** To be looked at again though nothing has happened to them. */
  #again = new Set<string>()
  #covered: Revision = -1
  /** After a crash of the database the row that covers is missing, too. */
  #coverAgain = true
  #refreshed = 0
  #due = 0

  constructor(options: SidecarReporterOptions) {
    this.#options = options
    this.#refreshed = options.clock.monotonic()
    this.#collected = options.streams.collect(() => {
      this.#wakeup.call()
    })
  }

  async start(signal: AbortSignal): Promise<void> {
    const { clock, logger, store, streams, pauseMs = 500 } = this.#options
    for (const node of streams.nodes) this.#again.add(node)
    let forgetAt = 0
    while (!signal.aborted) {
      if (clock.monotonic() >= forgetAt) {
        forgetAt = clock.monotonic() + coverMs
        this.#coverAgain = true
        await this.#attempt(() => store.forget())
      }
      await this.#attempt(() => this.step())
      await clock.sleep(pauseMs, signal)
      // Revisions that touch nobody here move on without a call.
      await this.#wakeup.wait(signal, { clock, ms: pauseMs })
    }
    await this.#attempt(() => this.step())
    this.#collected.end()
    logger.debug({}, 'sidecar reporter ended')
  }

  /** Writes what has changed; what could not be written stays to be written. */
  async step(): Promise<void> {
    const { store, revision } = this.#options
    // In this order, and in one turn: who is not among these has all of this revision, if it is settled.
    let coverable = revision()
    const look = new Set([...this.#again, ...this.#collected.take(), ...this.#refresh()])
    this.#again = new Set()
    const nodes = [...look]
    let behind = 0
    try {
      for (let from = 0; from < nodes.length; from += saveLimit) {
        const written = await this.#write(nodes.slice(from, from + saveLimit), behindLimit - behind)
        coverable = Math.min(coverable, written.coverable)
        behind += written.behind
      }
      if (coverable <= this.#covered && !this.#coverAgain) return
      const missing = await store.cover(coverable)
      if (missing && this.#covered >= 0) for (const node of this.#written.expireAll()) this.#again.add(node)
      this.#covered = coverable
      this.#coverAgain = false
    } catch (error) {
      for (const node of nodes) {
        this.#written.forget(node)
        this.#again.add(node)
      }
      throw error
    }
  }

  /**
   * Writes down at most `limit` of those that have fallen behind; returns how many, and up to where those may be covered
   * that were not written though they are behind.
   */
  async #write(nodes: readonly string[], limit: number): Promise<{ coverable: Revision; behind: number }> {
    const { streams, store } = this.#options
    const entries: { node: string; status: StreamStatus }[] = []
    const gone: string[] = []
    let coverable: Revision = Infinity
    let behind = 0
    const follow = (node: string, step: Verdict, answeredRevision: Revision): void => {
      if (step !== 'later') return
      coverable = Math.min(coverable, answeredRevision)
      this.#again.add(node)
    }
    for (const node of nodes) {
      const glance = streams.glance(node)
      const judging = { covered: this.#covered, patient: behind >= limit }
      const quick = glance && this.#written.judgeGlance(node, glance, judging)
      if (glance !== undefined && quick !== undefined) {
        if (glance.shape === unsettled) this.#collected.await(node)
        follow(node, quick, glance.answeredRevision)
        continue
      }
      const status = streams.stream(node)
      if (status === undefined) {
        this.#written.forget(node)
        gone.push(node)
        continue
      }
      if (!status.inSync || !isSettled(status)) this.#collected.await(node)
      const step = this.#written.judge(status, judging, glance)
      if (step === 'write') {
        entries.push({ node, status })
        if (!isSettled(status)) behind += 1
      }
      follow(node, step, status.answeredRevision)
    }
    await store.save(entries)
    await store.end(gone)
    return { coverable, behind }
  }

  /** Those whose turn it is to be written again. */
  #refresh(): string[] {
    const now = this.#options.clock.monotonic()
    this.#due += (this.#written.size * (now - this.#refreshed)) / refreshMs
    this.#refreshed = now
    const count = Math.min(Math.floor(this.#due), this.#written.size)
    this.#due -= Math.floor(this.#due)
    return this.#written.expire(count)
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#options.logger.debug({ error: String(error) }, 'sidecar statuses could not be written')
    }
  }
}
