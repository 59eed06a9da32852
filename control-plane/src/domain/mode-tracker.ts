import type { Capability, Mode, ModeState } from './mode.ts'

/** What this replica knows about itself when somebody asks for the modes. */
export interface ModeInput {
  readonly loaded: boolean
  readonly database: { readonly connected: boolean; readonly lastError: string | null }
  readonly revision: number
  /** Whether a replica is known to watch the leases. */
  readonly swept: boolean
  /** Milliseconds since the epoch until which expiry waits after an outage; null: it does not. */
  readonly recoveringUntil: number | null
  /** Why expiry is paused by self-preservation; null: it is not. */
  readonly selfPreservation: string | null
  readonly sinks: readonly { readonly sink: string; readonly error: string | null; readonly lag: number }[]
}

interface Finding {
  readonly mode: Mode
  readonly evidence: string
  readonly endsWhen: string | null
}

const target = (evidence: string): Finding => ({ mode: 'target', evidence, endsWhen: null })

const databaseAway = ({ database }: ModeInput): string =>
  `the database does not answer${database.lastError === null ? '' : `: ${database.lastError}`}`

const rules: Readonly<Record<Capability, (input: ModeInput) => Finding>> = {
  register: input =>
    input.database.connected
      ? target('the database takes writes')
      : {
          mode: 'floor',
          evidence: `writes are refused: ${databaseAway(input)}`,
          endsWhen: 'the database answers',
        },
  discover: input => {
    if (!input.loaded) {
      return { mode: 'floor', evidence: 'the mesh state has not loaded', endsWhen: 'it has loaded' }
    }
    if (input.database.connected) return target(`reads are as of revision ${input.revision}`)
    return {
      mode: 'degraded',
      evidence: `reads stay at revision ${input.revision}: ${databaseAway(input)}`,
      endsWhen: 'the database answers',
    }
  },
  health: input => {
    if (!input.database.connected) {
      return {
        mode: 'degraded',
        evidence: `nobody expires and verdicts stay as they are: ${databaseAway(input)}`,
        endsWhen: 'the database answers',
      }
    }
    if (!input.swept) {
      return {
        mode: 'degraded',
        evidence: 'nobody expires: no replica is known to watch the leases',
        endsWhen: 'one has taken over, a few seconds after its predecessor went',
      }
    }
    if (input.selfPreservation !== null) {
      return {
        mode: 'degraded',
        evidence: `expiry is paused: ${input.selfPreservation}`,
        endsWhen: 'fewer leases are due, or their instances are removed',
      }
    }
    if (input.recoveringUntil !== null) {
      const until = new Date(input.recoveringUntil).toISOString()
      return {
        mode: 'recovery',
        evidence: 'leases get a full TTL after an interruption',
        endsWhen: `at ${until}`,
      }
    }
    return target('leases and checks are followed')
  },
  push: input => {
    if (!input.loaded) {
      return {
        mode: 'floor',
        evidence: 'no sidecar is served: no mesh state',
        endsWhen: 'the mesh state has loaded',
      }
    }
    if (input.database.connected) return target('sidecars get changes as they are committed')
    return {
      mode: 'degraded',
      evidence: `sidecars, also new ones, get the configuration of revision ${input.revision}: ${databaseAway(input)}`,
      endsWhen: 'the database answers',
    }
  },
  publish: input => {
    const failing = input.sinks.filter(({ error }) => error !== null)
    if (!input.database.connected) {
      return {
        mode: 'floor',
        evidence: `events wait: ${databaseAway(input)}`,
        endsWhen: 'the database answers',
      }
    }
    if (failing.length === 0) return target(`${input.sinks.length} sinks keep up or have nothing to report`)
    return {
      mode: 'degraded',
      evidence: failing
        .map(({ sink, lag, error }) => `${sink} is ${lag} revisions behind: ${error ?? ''}`)
        .join('; '),
      endsWhen: 'these sinks take their events',
    }
  },
}

/** Keeps since when each capability has been in its mode. The rules are pure; `now` is an input. */
export class ModeTracker {
  readonly #entered = new Map<Capability, { readonly mode: Mode; readonly since: number }>()

  /** `now`: milliseconds since the epoch. */
  states(input: ModeInput, now: number): ModeState[] {
    return (Object.keys(rules) as Capability[]).map(capability => {
      const finding = rules[capability](input)
      let entered = this.#entered.get(capability)
      if (entered?.mode !== finding.mode) {
        entered = { mode: finding.mode, since: now }
        this.#entered.set(capability, entered)
      }
      return { capability, ...finding, since: new Date(entered.since).toISOString() }
    })
  }
}
