import { randomFillSync } from 'node:crypto'
import { v7 } from 'uuid'

const idBytes = 16

/** Makes the ids of changes: UUIDs of version 7, their random bytes fetched for 256 of them at once. */
export class ChangeIds {
  readonly #random = new Uint8Array(256 * idBytes)
  #next = this.#random.length

  next(): string {
    if (this.#next === this.#random.length) {
      randomFillSync(this.#random)
      this.#next = 0
    }
    const random = this.#random.subarray(this.#next, this.#next + idBytes)
    this.#next += idBytes
    return v7({ random })
  }
}
