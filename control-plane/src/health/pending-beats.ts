import { instanceKey } from '../domain/instance.ts'
import type { LeaseBeat } from '../store/lease-table.ts'

interface PendingBeat {
  readonly service: string
  readonly id: string
  readonly incarnation: number | null
  /** Monotonic milliseconds. */
  readonly at: number
}

/** Heartbeats that wait for the next flush: the latest of each instance, never more than `capacity` instances. */
export class PendingBeats {
  readonly #capacity: number
  #beats = new Map<string, PendingBeat>()

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    return this.#beats.size
  }

  /** False, and nothing is kept, when a further instance does not fit. */
  add(beat: PendingBeat): boolean {
    const key = instanceKey(beat.service, beat.id)
    const before = this.#beats.get(key)
    if (before === undefined && this.#beats.size >= this.#capacity) return false
    if (before === undefined || supersedes(beat, before)) this.#beats.set(key, beat)
    return true
  }

  /** Removes and returns up to `limit` beats. */
  take(limit: number): PendingBeat[] {
    if (limit >= this.#beats.size) {
      const all = [...this.#beats.values()]
      // A map that is emptied one by one is made smaller again and again.
      this.#beats = new Map()
      return all
    }
    const taken: PendingBeat[] = []
    for (const [key, beat] of this.#beats) {
      if (taken.length === limit) break
      taken.push(beat)
      this.#beats.delete(key)
    }
    return taken
  }
}

/** A newer registration's beat replaces an older one's; one that names none stands for whichever is there. */
const supersedes = (beat: PendingBeat, before: PendingBeat): boolean => {
  if (beat.incarnation === before.incarnation) return beat.at >= before.at
  if (beat.incarnation === null || before.incarnation === null) return beat.incarnation === null
  return beat.incarnation > before.incarnation
}

export const toLeaseBeat = ({ at, ...beat }: PendingBeat, now: number): LeaseBeat => ({
  ...beat,
  ageMs: now - at,
})
