export interface ProbeSlotsOptions {
  /** Probes at the same time of targets that answered, or are new. */
  readonly fast: number
  /** Probes at the same time of targets that let the last probe time out. */
  readonly slow: number
}

interface Lane {
  free: number
  /** At most one entry per check: a check that waits is not queued again. */
  readonly waiting: (() => void)[]
}

/**
 * Bounds the probes in flight. Targets that have just timed out share few slots of their own: however many of
 * them there are, they cannot make the others wait.
 */
export class ProbeSlots {
  readonly #lanes: { readonly fast: Lane; readonly slow: Lane }

  constructor({ fast, slow }: ProbeSlotsOptions) {
    this.#lanes = { fast: { free: fast, waiting: [] }, slow: { free: slow, waiting: [] } }
  }

  /** Checks that are due and wait for a slot. */
  get waiting(): number {
    return this.#lanes.fast.waiting.length + this.#lanes.slow.waiting.length
  }

  /** Runs `work` when a slot of the lane is free; first come, first served. */
  async run<T>(lane: keyof ProbeSlotsOptions, work: () => Promise<T>): Promise<T> {
    const { [lane]: slots } = this.#lanes
    if (slots.free > 0) slots.free -= 1
    else {
      await new Promise<void>(resolve => {
        slots.waiting.push(resolve)
      })
    }
    try {
      return await work()
    } finally {
      const next = slots.waiting.shift()
      // The slot goes to the next in line without becoming free in between.
      if (next === undefined) slots.free += 1
      else next()
    }
  }
}
