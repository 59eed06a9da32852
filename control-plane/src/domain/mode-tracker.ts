import { capabilities, type Capability, type Mode, type ModeState } from './mode.ts'
import { modeRules, type ModeInput } from './mode-rules.ts'

/** Keeps since when each capability has been in its mode. The rules are pure; `now` is an input. */
export class ModeTracker {
  readonly #entered = new Map<Capability, { readonly mode: Mode; readonly since: number }>()

  /** `now`: milliseconds since the epoch. */
  states(input: ModeInput, now: number): ModeState[] {
    return capabilities.map(capability => {
      const before = this.#entered.get(capability)
      const finding = modeRules[capability](input, before?.mode ?? 'target')
      const since = before?.mode === finding.mode ? before.since : now
      this.#entered.set(capability, { mode: finding.mode, since })
      return { capability, ...finding, since: new Date(since).toISOString() }
    })
  }
}
