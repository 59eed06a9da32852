interface Slot<T> {
  readonly size: number
  done: boolean
  value: T | undefined
}

/**
 * Work that goes on at once and is told in order: no more is added while what is under way or waits to be taken has
 * reached `capacity`. One writer, one reader.
 */
export class OrderedWindow<T> {
  readonly #capacity: number
  #slots: Slot<T>[] = []
  /** Of all slots. */
  #size = 0
  #ended = false
  #abandoned = false
  #onRoom: (() => void) | null = null
  #onResult: (() => void) | null = null

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** Nobody takes results any more. */
  get abandoned(): boolean {
    return this.#abandoned
  }

  /** `result` must not reject. Resolves when there is room for the next one, or the reader has gone. */
  async add(result: Promise<T>, size = 1): Promise<void> {
    const slot: Slot<T> = { size, done: false, value: undefined }
    this.#slots.push(slot)
    this.#size += size
    void result.then(value => {
      slot.done = true
      slot.value = value
      if (slot === this.#slots[0]) this.#onResult?.()
    })
    if (this.#size < this.#capacity || this.#abandoned) return
    await new Promise<void>(resolve => {
      this.#onRoom = resolve
    })
  }

  /** There is no more to come. */
  end(): void {
    this.#ended = true
    this.#onResult?.()
  }

  /** The reader goes: a writer that waits for room is let go. */
  abandon(): void {
    this.#abandoned = true
    this.#onRoom?.()
  }

  /** The results that are next and ready, at least one; null: all have been taken. */
  async take(): Promise<T[] | null> {
    for (;;) {
      const open = this.#slots.findIndex(({ done }) => !done)
      const ready = open < 0 ? this.#slots.length : open
      if (ready > 0) {
        const taken = this.#slots.splice(0, ready)
        for (const { size } of taken) this.#size -= size
        if (this.#size < this.#capacity) {
          this.#onRoom?.()
          this.#onRoom = null
        }
        return taken.map(({ value }) => value as T)
      }
      if (this.#slots.length === 0 && this.#ended) return null
      await new Promise<void>(resolve => {
        this.#onResult = resolve
      })
      this.#onResult = null
    }
  }
}
