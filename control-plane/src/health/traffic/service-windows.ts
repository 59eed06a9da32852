import { decayed, leastVolume, noRequests, addUp, volume, type Counts } from './counts.ts'

interface Window extends Counts {
  /** Monotonic milliseconds: when it was last added to. */
  readonly at: number
}

interface ReporterEntry {
  /** Monotonic: its last report about the service. */
  at: number
  /** By the address that callers know. */
  readonly windows: Map<string, Window>
}

/** Windows that nothing was added to for so many half-lives are forgotten. */
const forgetHalfLives = 8

/**
 * What sidecars have lately seen of the instances of one service: per reporter and address a window of successes and
 * failures that decays. Reporters are in the order of their last report, so that the oldest is at the head.
 */
export class ServiceWindows {
  readonly #reporters = new Map<string, ReporterEntry>()
  readonly #total: { entries: number }
  #entries = 0
  /** Monotonic: when a failure was last reported, or somebody last asked. */
  activeAt = -Infinity

  /** `total` counts the windows of all services together. */
  constructor(total: { entries: number }) {
    this.#total = total
  }

  /** Windows that are kept. */
  get entries(): number {
    return this.#entries
  }

  /** Adds what a sidecar has reported; `now` is monotonic. */
  add(
    reporter: string,
    endpoints: Iterable<{ readonly address: string } & Counts>,
    { now, halfLifeMs }: { readonly now: number; readonly halfLifeMs: number },
  ): void {
    const entry = this.#reporters.get(reporter) ?? { at: now, windows: new Map<string, Window>() }
    this.#reporters.delete(reporter)
    this.#reporters.set(reporter, entry)
    entry.at = Math.max(entry.at, now)
    for (const { address, ok, failed } of endpoints) {
      const before = entry.windows.get(address)
      const left = before === undefined ? noRequests : decayed(before, now - before.at, halfLifeMs)
      entry.windows.set(address, { ...addUp(left, { ok, failed }), at: Math.max(now, before?.at ?? now) })
      if (before === undefined) this.#resize(1)
      if (failed > 0) this.activeAt = Math.max(this.activeAt, now)
    }
  }

  /** What is left, by reporter; forgets on the way who has been silent for long. */
  *views(
    { now, halfLifeMs }: { readonly now: number; readonly halfLifeMs: number },
    idOf: (address: string) => string | undefined,
  ): Generator<{ readonly reporter: string; readonly windows: ReadonlyMap<string, Counts> }> {
    for (const [reporter, { at, windows }] of this.#reporters) {
      if (now - at > forgetHalfLives * halfLifeMs) {
        this.#drop(reporter)
        continue
      }
      const view = new Map<string, Counts>()
      for (const [address, window] of windows) {
        const left = decayed(window, now - window.at, halfLifeMs)
        if (volume(left) < leastVolume && now - window.at > forgetHalfLives * halfLifeMs) {
          windows.delete(address)
          this.#resize(-1)
        }
        const id = idOf(address)
        if (id === undefined) continue
        const other = view.get(id)
        view.set(id, other === undefined ? left : addUp(other, left))
      }
      yield { reporter, windows: view }
    }
  }

  /** Whether this reporter's window of an address shows at least this share of failures (percent). */
  suspects(reporter: string, address: string, failurePercent: number): boolean {
    const window = this.#reporters.get(reporter)?.windows.get(address)
    return window !== undefined && window.failed > 0 && window.failed * 100 >= failurePercent * volume(window)
  }

  /** Forgets what was seen of an address: whoever has it now, or its state, is another. */
  forget(address: string): void {
    for (const { windows } of this.#reporters.values()) if (windows.delete(address)) this.#resize(-1)
  }

  /** Drops whoever has been silent for longest; false: nobody is left. */
  evict(): boolean {
    const [oldest] = this.#reporters.keys()
    return oldest !== undefined && this.#drop(oldest)
  }

  /** Nothing of it is needed any more. */
  clear(): void {
    this.#reporters.clear()
    this.#resize(-this.#entries)
  }

  #drop(reporter: string): boolean {
    this.#resize(-(this.#reporters.get(reporter)?.windows.size ?? 0))
    return this.#reporters.delete(reporter)
  }

  #resize(by: number): void {
    this.#entries += by
    this.#total.entries += by
  }
}
