import { unsettled } from './stream-shape.ts'

/**
 * Nodes whose status may have changed since they were taken. Who had answered everything then, and has again with the
 * same shape, is not among them any more: with thousands of sidecars that is nearly every one that a change touches.
 */
export class ChangedNodes {
  /** Node to its shape when it was taken; `unsettled`: it stays until it is taken. */
  #nodes = new Map<string, number>()
  readonly #awaited = new Set<string>()
  readonly #onFirst: () => void

  constructor(onFirst: () => void) {
    this.#onFirst = onFirst
  }

  /** The shape of the only stream of a node has been one and is the other now. */
  reshaped(node: string, before: number, now: number): void {
    const taken = this.#nodes.get(node)
    if (this.#awaited.delete(node)) this.#put(node, unsettled)
    else if (taken === undefined) {
      if (before === unsettled || before !== now) this.#put(node, before)
    } else if (taken !== unsettled && taken === now) this.#nodes.delete(node)
  }

  /** Something else has happened to it. */
  add(node: string): void {
    this.#awaited.delete(node)
    this.#put(node, unsettled)
  }

  /** It was seen with something under way or refused: whatever happens next, it is taken again. */
  await(node: string): void {
    if (this.#nodes.has(node)) this.#put(node, unsettled)
    else this.#awaited.add(node)
  }

  take(): Set<string> {
    const nodes = new Set(this.#nodes.keys())
    this.#nodes = new Map()
    return nodes
  }

  #put(node: string, shape: number): void {
    this.#nodes.set(node, shape)
    if (this.#nodes.size === 1) this.#onFirst()
  }
}
