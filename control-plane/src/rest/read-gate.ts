import { formatDuration, parseDuration } from '@waymark/sidecar-config/model/duration.ts'
import { WaymarkError } from '../domain/errors.ts'
import { beyondLog, type Revision } from '../domain/revision.ts'
import type { MeshDelta, MeshState } from '../mesh/mesh-state.ts'
import type { Clock } from '../runtime/clock.ts'
import type { RestLimits } from './limits.ts'
import type { PastReader } from './ports.ts'
import { touchedTopics, type Topic, type Touches } from './read/topic.ts'
import { Turns } from './turns.ts'

export interface ReadQuery {
  readonly minRevision?: number
  readonly index?: number
  readonly wait?: string
}

interface Waiter {
  readonly holds: () => boolean
  readonly release: () => void
}

/** More topics than this and the oldest knowledge is given up: reads then return early, never late. */
const maxTopics = 100_000

/**
 * Lets a read pass when this replica can answer it: its mesh state has loaded, has reached `minRevision`, and
 * the answer may have changed since `index`. Bounded in time and number; a waiter costs nothing until a delta that
 * touches what it waits for.
 */
export class ReadGate {
  readonly #options: GateOptions
  readonly #mesh: MeshState
  readonly #unsubscribe: () => void
  /** For a revision of the whole mesh, and for a change of a topic. */
  readonly #reaching = new Set<Waiter>()
  readonly #byTopic = new Map<Topic, Set<Waiter>>()
  #waiting = 0
  /** Topics not in it have not changed since `#floor`. */
  readonly #touches = new Map<Topic, Touches>()
  #floor: Revision
  #closed = false
  readonly #turns: Turns

  constructor(options: GateOptions) {
    this.#options = options
    this.#mesh = options.mesh
    this.#floor = this.#mesh.revision
    this.#turns = new Turns(options)
    this.#unsubscribe = this.#mesh.onDelta(delta => {
      this.#onDelta(delta)
    })
  }

  /** Throws WaymarkError `not_ready` before the first snapshot. */
  ready(): void {
    if (this.#mesh.loaded) return
    throw new WaymarkError('not_ready', 'the first snapshot of the mesh is still being read')
  }

  /** The topic has not changed since this revision; it may be later than its last change, never earlier. */
  changedAt(topic: Topic): Revision {
    return this.touches(topic).last
  }

  touches(topic: Topic): Touches {
    if (topic === 'mesh') return { last: this.#mesh.revision, previous: this.#mesh.revision }
    return this.#touches.get(topic) ?? { last: this.#floor, previous: this.#floor }
  }

  /**
   * For answers that follow a topic as a whole. Rejects with `not_ready`, `revision_not_reached`, `compacted`,
   * `overloaded` or `invalid_request` (`wait`). When the time for `index` is over it resolves: the answer is then as
   * it was.
   */
  async pass(query: ReadQuery, topic: Topic, gone: () => AbortSignal): Promise<void> {
    this.ready()
    const waitMs = this.waitMs(query.wait)
    if (query.minRevision !== undefined) await this.reach(query.minRevision, waitMs, gone)
    if (query.index === undefined) return
    await this.changed({ topic, index: query.index, since: () => this.changedAt(topic), waitMs, gone })
  }

  /** Waits for a revision. Rejects with `revision_not_reached`. */
  async reach(revision: Revision, waitMs: number, gone: () => AbortSignal): Promise<void> {
    if (this.#mesh.revision >= revision) return
    await this.#wait(this.#reaching, () => this.#mesh.revision >= revision, waitMs, gone)
    if (this.#mesh.revision >= revision) return
    const time = this.#closed ? 'before this replica closes' : `within ${formatDuration(waitMs)}`
    throw new WaymarkError(
      'revision_not_reached',
      `revision ${revision} was not applied ${time}; this replica is at ${this.#mesh.revision}`,
    )
  }

  /**
   * Waits until `since()`, which can only change when the topic does, says that the answer is later than `index`, or
   * the time is over. What it lets pass is never older than `index`: a client's index does not go backwards. Rejects
   * with CompactedError for an index beyond the log: the database was restored.
   */
  async changed(wait: {
    readonly topic: Topic
    readonly index: Revision
    readonly since: () => Revision
    readonly waitMs: number
    readonly gone: () => AbortSignal
  }): Promise<void> {
    const { topic, index, since, waitMs, gone } = wait
    if (index > this.#mesh.revision) {
      const { head } = await this.#options.past.bounds()
      if (head < index) throw beyondLog(index, head)
      await this.reach(index, waitMs, gone)
    }
    const holds = (): boolean => since() > index
    if (holds()) return
    const waiters = this.#byTopic.get(topic) ?? new Set()
    this.#byTopic.set(topic, waiters)
    try {
      await this.#wait(waiters, holds, waitMs, gone)
    } finally {
      if (waiters.size === 0 && this.#byTopic.get(topic) === waiters) this.#byTopic.delete(topic)
    }
  }

  /** Throws WaymarkError `invalid_request`. */
  waitMs(wait: string | undefined): number {
    const { limits } = this.#options
    if (wait === undefined) return limits.defaultWaitMs
    const ms = parseDuration(wait)
    if (ms !== undefined && ms <= limits.maxWaitMs) return ms
    const accepted = `a duration from 0s to ${formatDuration(limits.maxWaitMs)}`
    throw new WaymarkError('invalid_request', '?wait is out of range', {
      fields: [{ pointer: '?wait', detail: `"${wait}" is out of range`, accepted }],
    })
  }

  /** Lets everybody go: those who wait for a revision fail, those who wait for a change get what is. */
  close(): void {
    this.#closed = true
    this.#unsubscribe()
    for (const waiters of [this.#reaching, ...this.#byTopic.values()])
      for (const { release } of waiters) release()
  }

  async #wait(
    waiters: Set<Waiter>,
    holds: () => boolean,
    ms: number,
    gone: () => AbortSignal,
  ): Promise<void> {
    if (ms === 0 || this.#closed) return
    if (this.#waiting >= this.#options.limits.waiting) {
      throw new WaymarkError('overloaded', `${this.#waiting} requests wait for a revision already`)
    }
    const left = gone()
    if (left.aborted) return
    const { promise, resolve } = Promise.withResolvers<true>()
    const release = () => {
      resolve(true)
    }
    const waiter: Waiter = { holds, release }
    waiters.add(waiter)
    this.#waiting += 1
    const timer = this.#options.clock.timer(ms, release)
    left.addEventListener('abort', release, { once: true })
    try {
      await promise
    } finally {
      timer.cancel()
      left.removeEventListener('abort', release)
      waiters.delete(waiter)
      this.#waiting -= 1
    }
  }

  #onDelta(delta: MeshDelta): void {
    if (delta.resynchronised || this.#touches.size > maxTopics) {
      this.#touches.clear()
      this.#floor = delta.revision
    }
    const touched = touchedTopics(delta)
    for (const [topic, revisions] of touched) {
      for (const last of revisions) this.#touches.set(topic, { last, previous: this.touches(topic).last })
    }
    this.#call(this.#reaching)
    if (delta.resynchronised) for (const waiters of this.#byTopic.values()) this.#call(waiters)
    else {
      this.#call(this.#byTopic.get('mesh'))
      for (const topic of touched.keys()) this.#call(this.#byTopic.get(topic))
    }
  }

  #call(waiters: ReadonlySet<Waiter> = new Set()): void {
    if (waiters.size > 0) this.#turns.add(look([...waiters]))
  }
}

/** Who waits looks again, and leaves if it has what it waits for. */
function* look(waiters: readonly Waiter[]): Generator<undefined> {
  for (const { holds, release } of waiters) {
    if (holds()) release()
    yield
  }
}

interface GateOptions {
  readonly mesh: MeshState
  readonly past: Pick<PastReader, 'bounds'>
  readonly clock: Clock
  readonly limits: RestLimits
}
