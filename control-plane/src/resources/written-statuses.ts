import type { Revision } from '../domain/revision.ts'
import { isSettled, statusShape } from '../xds/status/settled.ts'
import type { StreamStatus } from '../xds/status/status.ts'
import type { StreamGlance } from '../xds/status/stream-glance.ts'
import { unsettled } from '../xds/status/stream-shape.ts'

interface Written {
  /** Empty: it is to be written in any case. */
  shape: string
  /** The row says that it is settled, so it is covered. */
  settled: boolean
  nacks: number
  /** How far it had answered when it was last found behind and not written; undefined: it was not. */
  behindAt: Revision | undefined
  /** What a glance at it said when it was as its row says; `unsettled`: its row is not of one settled stream. */
  numbers: number
  stream: number
}

/** What is to be done about a sidecar; see `judge`. */
export type Verdict = 'write' | 'same' | 'later'

interface Judging {
  /** How far their rows say that settled sidecars are. */
  readonly covered: Revision
  /** Whoever is behind for a moment gets another one: too many are. */
  readonly patient: boolean
}

/** What the rows of this replica's sidecars say, and so which of them have to be written. */
export class WrittenStatuses {
  readonly #byNode = new Map<string, Written>()
  #round: Iterator<string, undefined> | undefined

  get size(): number {
    return this.#byNode.size
  }

  /** The same as `judge`, where numbers alone tell: true of nearly all that a change touches. */
  judgeGlance(
    node: string,
    glance: StreamGlance,
    { covered, patient }: Judging,
  ): 'same' | 'later' | undefined {
    const before = this.#byNode.get(node)
    const { stream, shape, answeredRevision } = glance
    if (before?.stream !== stream || before.numbers === unsettled || before.shape === '') return undefined
    if (shape === before.numbers) {
      before.behindAt = undefined
      return 'same'
    }
    const stays = before.behindAt === answeredRevision && !patient
    if (shape !== unsettled || stays || answeredRevision < covered) return undefined
    before.behindAt = answeredRevision
    return 'later'
  }

  /**
   * `later`: it is settled in its row and has just got something, which it will most likely have answered the next
   * time; until then nobody may be covered further than it has answered. `glance`: of the same moment.
   */
  judge(status: StreamStatus, { covered, patient }: Judging, glance?: StreamGlance): Verdict {
    const { node, answeredRevision, nacks } = status
    const before = this.#byNode.get(node)
    const settled = isSettled(status)
    const passing =
      before?.settled === true &&
      !settled &&
      before.shape !== '' &&
      before.nacks === nacks.length &&
      (patient || before.behindAt !== answeredRevision) &&
      answeredRevision >= covered
    if (passing) {
      before.behindAt = answeredRevision
      return 'later'
    }
    const shape = statusShape(status)
    const numbers = (settled ? glance?.shape : undefined) ?? unsettled
    const stream = glance?.stream ?? 0
    if (before === undefined) {
      const nackCount = nacks.length
      this.#byNode.set(node, { shape, settled, nacks: nackCount, behindAt: undefined, numbers, stream })
      return 'write'
    }
    before.behindAt = undefined
    before.numbers = numbers
    before.stream = stream
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
      this.#expire(node)
      nodes.push(node)
    }
    return nodes
  }

  /** The same with all of them. */
  expireAll(): Iterable<string> {
    for (const node of this.#byNode.keys()) this.#expire(node)
    return this.#byNode.keys()
  }

  #expire(node: string): void {
    const written = this.#byNode.get(node)
    if (written !== undefined) written.shape = ''
  }
}
