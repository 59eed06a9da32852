import type { Revision } from '../domain/revision.ts'
import { isSettled, statusShape } from '../xds/status/settled.ts'
import type { StreamStatus } from '../xds/status/status.ts'

interface Written {
  /** Empty: it is to be written in any case. */
  shape: string
  /** The row says that it is settled, so it is covered. */
  settled: boolean
  nacks: number
  /** How far it had answered when it was last found behind and not written; undefined: it was not. */
  behindAt: Revision | undefined
}

/** What the rows of this replica's sidecars say, and so which of them have to be written. */
export class WrittenStatuses {
  readonly #byNode = new Map<string, Written>()
  #round: Iterator<string, undefined> | undefined

  get size(): number {
    return this.#byNode.size
  }

  /**
   * `later`: it is settled in its row and has just got something, which it will most likely have answered the next
   * time; until then nobody may be covered further than it has answered. `covered`: how far its row says it is.
   */
  judge(status: StreamStatus, covered: Revision): 'write' | 'same' | 'later' {
    const { node, answeredRevision, nacks } = status
    const before = this.#byNode.get(node)
    const settled = isSettled(status)
    const passing =
      before?.settled === true &&
      !settled &&
      before.shape !== '' &&
      before.nacks === nacks.length &&
      before.behindAt !== answeredRevision &&
      answeredRevision >= covered
    if (passing) {
      before.behindAt = answeredRevision
      return 'later'
    }
    const shape = statusShape(status)
    if (before === undefined) {
      this.#byNode.set(node, { shape, settled, nacks: nacks.length, behindAt: undefined })
      return 'write'
    }
    before.behindAt = undefined
    if (before.shape === shape) return 'same'
    before.shape = shape
    before.settled = settled
    before.nacks = nacks.length
    return 'write'
  }

  /** It has gone, or is not known to be written. */
  forget(node: string): void {
    this.#byNode.delete(node)
  }

  /** Has the next `count` of them written again when they are looked at, all in turn. */
  expire(count: number): string[] {
    const nodes: string[] = []
    while (nodes.length < count) {
      this.#round ??= this.#byNode.keys()
      const { value: node } = this.#round.next()
      if (node === undefined) {
        this.#round = undefined
        if (this.#byNode.size === 0) break
        continue
      }
      const written = this.#byNode.get(node)
      if (written !== undefined) written.shape = ''
      nodes.push(node)
    }
    return nodes
  }
}
