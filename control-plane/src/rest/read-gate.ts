import { formatDuration, parseDuration } from '@waymark/sidecar-config/model/duration.ts'
import { WaymarkError } from '../domain/errors.ts'
import type { Revision } from '../domain/revision.ts'
import type { MeshDelta, MeshState } from '../mesh/mesh-state.ts'
import type { Clock } from '../runtime/clock.ts'
import type { RestLimits } from './limits.ts'

export interface ReadQuery {
  readonly minRevision?: number
  readonly index?: number
  readonly wait?: string
}

/** What an answer depends on: `mesh`, `documents` or `service:{name}`. */
export type Topic = 'mesh' | 'documents' | `service:${string}`

interface Waiter {
  readonly holds: () => boolean
  readonly release: () => void
}

/** More topics than this and the oldest knowledge is given up: reads then return early, never late. */
const maxTopics = 100_000

/**
 * Lets a read pass when this replica can answer it: its mesh state has loaded, has reached `minRevision`, and
 * the answer may have changed since `index`. Bounded in time and number; a waiter costs nothing until a delta.
 */
export class ReadGate {
  readonly #mesh: MeshState
  readonly #clock: Clock
  readonly #limits: RestLimits
  readonly #unsubscribe: () => void
  readonly #waiters = new Set<Waiter>()
  /** The last revision that touched a topic; topics not in it have not changed since `#floor`. */
  readonly #changedAt = new Map<Topic, Revision>()
  #floor: Revision
  #closed = false

  constructor(options: { readonly mesh: MeshState; readonly clock: Clock; readonly limits: RestLimits }) {
    this.#mesh = options.mesh
    this.#clock = options.clock
    this.#limits = options.limits
    this.#floor = this.#mesh.revision
    this.#unsubscribe = this.#mesh.onDelta(delta => {
      this.#onDelta(delta)
    })
  }

  /**
   * Rejects with `not_ready`, `revision_not_reached`, `overloaded` or `invalid_request` (`wait`). When the time
   * for `index` is over it resolves: the answer is then as it was.
   */
  async pass(query: ReadQuery, topic: Topic, gone: AbortSignal): Promise<void> {
    if (!this.#mesh.loaded) {
      throw new WaymarkError('not_ready', 'the first snapshot of the mesh is still being read')
    }
    const { minRevision = 0, index } = query
    const waitMs = this.#waitMs(query.wait)
    if (this.#mesh.revision < minRevision) {
      await this.#wait(() => this.#mesh.revision >= minRevision, waitMs, gone)
      if (this.#mesh.revision < minRevision) {
        throw new WaymarkError(
          'revision_not_reached',
          `revision ${minRevision} was not applied ` +
            `${this.#closed ? 'before this replica closes' : `within ${formatDuration(waitMs)}`}; ` +
            `this replica is at ${this.#mesh.revision}`,
        )
      }
    }
    if (index !== undefined && !this.#changedSince(topic, index)) {
      await this.#wait(() => this.#changedSince(topic, index), waitMs, gone)
    }
  }

  /** Lets everybody go: those who wait for a revision fail, those who wait for a change get what is. */
  close(): void {
    this.#closed = true
    this.#unsubscribe()
    for (const { release } of this.#waiters) release()
  }

  #changedSince(topic: Topic, index: Revision): boolean {
    if (topic === 'mesh') return this.#mesh.revision > index
    return (this.#changedAt.get(topic) ?? this.#floor) > index
  }

  #waitMs(wait: string | undefined): number {
    if (wait === undefined) return this.#limits.defaultWaitMs
    const ms = parseDuration(wait)
    if (ms !== undefined && ms <= this.#limits.maxWaitMs) return ms
    const accepted = `a duration from 0s to ${formatDuration(this.#limits.maxWaitMs)}`
    throw new WaymarkError('invalid_request', '?wait is out of range', {
      fields: [{ pointer: '?wait', detail: `"${wait}" is out of range`, accepted }],
    })
  }

  async #wait(holds: () => boolean, ms: number, gone: AbortSignal): Promise<void> {
    if (ms === 0 || this.#closed || gone.aborted) return
    if (this.#waiters.size >= this.#limits.waiting) {
      throw new WaymarkError('overloaded', `${this.#waiters.size} requests wait for a revision already`)
    }
    const { promise, resolve } = Promise.withResolvers<true>()
    const release = () => {
      resolve(true)
    }
    const waiter: Waiter = { holds, release }
    this.#waiters.add(waiter)
    const timer = this.#clock.timer(ms, release)
    gone.addEventListener('abort', release, { once: true })
    try {
      await promise
    } finally {
      timer.cancel()
      gone.removeEventListener('abort', release)
      this.#waiters.delete(waiter)
    }
  }

  #onDelta({ revision, sets, resynchronised }: MeshDelta): void {
    if (resynchronised || this.#changedAt.size > maxTopics) {
      this.#changedAt.clear()
      this.#floor = revision
    }
    for (const set of sets) {
      for (const change of set.changes) {
        const subject = change.after ?? change.before
        if (subject === null) continue
        if ('service' in subject) this.#changedAt.set(`service:${subject.service}`, set.revision)
        else {
          this.#changedAt.set('documents', set.revision)
          if (subject.kind === 'Service') this.#changedAt.set(`service:${subject.name}`, set.revision)
        }
      }
    }
    for (const waiter of this.#waiters) if (waiter.holds()) waiter.release()
  }
}
