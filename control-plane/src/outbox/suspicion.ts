export interface SuspicionOptions {
  /** How often an event may be refused. */
  readonly attempts: number
  /** After so many failures that could be the sink's own the event is suspected. */
  readonly suspectAfter: number
}

/** So many times in a row the sink has to take another event and fail at this one. */
const proofs = 3

/**
 * Whether it is the event at the head of the log that fails, or the sink. A refusal accuses the event itself. Any
 * other failure accuses the sink, which may be down for days, until it has happened so often that other events
 * are worth a try: a sink that takes those, again and again, and fails at this one, is not down. Pure.
 */
export class Suspicion {
  readonly #options: SuspicionOptions
  #id = ''
  #refusals = 0
  #failures = 0
  #proofs = 0

  constructor(options: SuspicionOptions) {
    this.#options = options
  }

  /** Attempts at the present event. */
  get attempts(): number {
    return this.#refusals + this.#failures
  }

  /** Whether another event should be tried. */
  get aroused(): boolean {
    return this.#failures >= this.#options.suspectAfter
  }

  get proven(): boolean {
    return this.#refusals >= this.#options.attempts || this.#proofs >= proofs
  }

  /** The sink said no to what the event says. */
  refused(id: string): void {
    this.#about(id)
    this.#refusals += 1
  }

  /** The sink took nothing, for whatever reason. */
  failed(id: string): void {
    this.#about(id)
    this.#failures += 1
  }

  /** Whether the sink took another event right after it had failed at this one. */
  probed(taken: boolean): void {
    this.#proofs = taken ? this.#proofs + 1 : 0
  }

  clear(): void {
    this.#about('')
  }

  #about(id: string): void {
    if (id === this.#id) return
    this.#id = id
    this.#refusals = 0
    this.#failures = 0
    this.#proofs = 0
  }
}
