interface Slot<T> {
  done: boolean
  value: T | undefined
}

/**
 * Work that goes on at once and is told in order: no more than `capacity` results are under way or wait to be taken.
 * One writer, one reader.
 */
export class OrderedWindow<T> {
  readonly #capacity: number
  #slots: Slot<T>[] = []
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
  async add(result: Promise<T>): Promise<void> {
    const slot: Slot<T> = { done: false, value: undefined }
    this.#slots.push(slot)
    void result.then(value => {
      slot.done = true
      slot.value = value
      if (slot === this.#slots[0]) this.#onResult?.()
    })
    if (this.#slots.length < this.#capacity || this.#abandoned) return
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
        const taken = this.#slots.slice(0, ready).map(({ value }) => value as T)
        this.#slots = this.#slots.slice(ready)
        this.#onRoom?.()
        this.#onRoom = null
        return taken
      }
      if (this.#slots.length === 0 && this.#ended) return null
      await new Promise<void>(resolve => {
        this.#onResult = resolve
      })
      this.#onResult = null
    }
  }
}
