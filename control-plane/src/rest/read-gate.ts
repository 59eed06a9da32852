import type { ServerResponse } from 'node:http'
import { formatDuration, parseDuration } from '@waymark/sidecar-config/model/duration.ts'
import { WaymarkError } from '../domain/errors.ts'
import { beyondLog, type Revision } from '../domain/revision.ts'
import type { MeshDelta, MeshState } from '../mesh/mesh-state.ts'
import type { Clock } from '../runtime/clock.ts'
import { AnswerWave } from './answer-wave.ts'
import type { RestLimits } from './limits.ts'
import type { PastReader } from './ports.ts'
import { touchedTopics, type Topic, type Touches } from './read/topic.ts'
import type { Lane, Turns } from './turns.ts'

export interface ReadQuery {
  readonly minRevision?: number
  readonly index?: number
  readonly wait?: string
}

interface Waiter {
  /** Whether it has what it waits for; asked when that may have come. */
  readonly holds: () => boolean
  /** Ends the wait. */
  readonly leave: () => void
  readonly response: ServerResponse
}

interface Wait {
  readonly waitMs: number
  /** To whom it will be told: a client that goes gives its place back. */
  readonly response: ServerResponse
  /** Called once: when it holds, its time is over, its client has gone, or this replica closes. */
  readonly go: () => void
}

export interface ChangeWait extends Wait {
  readonly topic: Topic
  readonly index: Revision
  /** Since when the answer is what it is; can only change when the topic does. */
  readonly since: () => Revision
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
  readonly #lane: Lane

  constructor(options: GateOptions) {
    this.#options = options
    this.#mesh = options.mesh
    this.#floor = this.#mesh.revision
    this.#lane = options.turns.lane()
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
  async pass(query: ReadQuery, topic: Topic, response: ServerResponse): Promise<void> {
    this.ready()
    const waitMs = this.waitMs(query.wait)
    if (query.minRevision !== undefined) await this.reach(query.minRevision, waitMs, response)
    const { index } = query
    if (index === undefined) return
    await this.changed({ topic, index, since: () => this.changedAt(topic), waitMs, response })
  }

  /** Waits for a revision. Rejects with `revision_not_reached`. */
  async reach(revision: Revision, waitMs: number, response: ServerResponse): Promise<void> {
    const holds = (): boolean => this.#mesh.revision >= revision
    if (holds()) return
    await new Promise<void>(resolve => {
      this.#wait(null, holds, { waitMs, response, go: resolve })
    })
    if (holds()) return
    const time = this.#closed ? 'before this replica closes' : `within ${formatDuration(waitMs)}`
    throw new WaymarkError(
      'revision_not_reached',
      `revision ${revision} was not applied ${time}; this replica is at ${this.#mesh.revision}`,
    )
  }

  /** Like `whenChanged`, also for an index that this replica has not reached. */
  async changed(wait: Omit<ChangeWait, 'go'>): Promise<void> {
    await this.reachIndex(wait)
    await new Promise<void>(resolve => {
      this.whenChanged({ ...wait, go: resolve })
    })
  }

  /** Rejects with CompactedError for an index beyond the log: the database was restored. */
  async reachIndex({
    index,
    waitMs,
    response,
  }: Pick<ChangeWait, 'index' | 'waitMs' | 'response'>): Promise<void> {
    if (index <= this.#mesh.revision) return
    const { head } = await this.#options.past.bounds()
    if (head < index) throw beyondLog(index, head)
    await this.reach(index, waitMs, response)
  }

  /**
   * Calls `go` as soon as `since()` says that the answer is later than `index`, which this replica must have reached
   * (a client's index does not go backwards), or the time is over. Throws WaymarkError `overloaded`.
   */
  whenChanged(wait: ChangeWait): void {
    const { topic, index, since, go } = wait
    const holds = (): boolean => since() > index
    if (holds()) go()
    else this.#wait(topic, holds, wait)
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
      for (const { leave } of waiters) leave()
  }

  /** `topic`: what has to change; null: the mesh has to go on. */
  #wait(topic: Topic | null, holds: () => boolean, { waitMs, response, go }: Wait): void {
    const { limits, clock } = this.#options
    if (waitMs === 0 || this.#closed || response.closed) {
      go()
      return
    }
    if (this.#waiting >= limits.waiting) {
      throw new WaymarkError('overloaded', `${this.#waiting} requests wait for a revision already`)
    }
    const waiters = topic === null ? this.#reaching : (this.#byTopic.get(topic) ?? new Set())
    if (topic !== null) this.#byTopic.set(topic, waiters)
    const leave = (): void => {
      if (!waiters.delete(waiter)) return
      this.#waiting -= 1
      timer.cancel()
      if (topic !== null && waiters.size === 0 && this.#byTopic.get(topic) === waiters)
        this.#byTopic.delete(topic)
      go()
    }
    const waiter: Waiter = { holds, leave, response }
    waiters.add(waiter)
    this.#waiting += 1
    const timer = clock.timer(waitMs, leave)
    response.on('close', leave)
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
    if (waiters.size > 0) this.#lane.add(look([...waiters]))
  }
}

/** Who waits looks again, and leaves if it has what it waits for. */
function* look(waiters: readonly Waiter[]): Generator<undefined> {
  const wave = new AnswerWave(waiters.length)
  try {
    for (const { holds, leave, response } of waiters) {
      if (holds()) {
        wave.serve(response)
        leave()
      }
      yield
    }
  } finally {
    wave.end()
  }
}

interface GateOptions {
  readonly mesh: MeshState
  readonly past: Pick<PastReader, 'bounds'>
  readonly clock: Clock
  readonly turns: Turns
  readonly limits: RestLimits
}
