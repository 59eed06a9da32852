import type { Capability, Mode } from './mode.ts'

/** What this replica knows about itself when somebody asks for the modes. Pure numbers and words. */
export interface ModeInput {
  readonly loaded: boolean
  /** Contact of the feed with the log. */
  readonly database: {
    readonly connected: boolean
    readonly lastError: string | null
    /** The slowest read of the last 10 s (ms). */
    readonly slowestMs: number
  }
  /** Of the sequencer's transactions. */
  readonly writes: {
    /** Why the database does not take them; null: it does, as far as is known. */
    readonly refusal: string | null
    /** How long ago they were taken again (ms); null: they never were refused. */
    readonly restoredMs: number | null
    /** The slowest transaction of the last 10 s (ms). */
    readonly slowestMs: number
    readonly waiting: number
  }
  readonly revision: number
  /** The newest revision in the log that this replica has heard of. */
  readonly head: number
  /** Whether a replica is known to watch the leases. */
  readonly swept: boolean
  /** Milliseconds since the epoch until which expiry waits after an outage; null: it does not. */
  readonly recoveringUntil: number | null
  /** Why expiry is paused by self-preservation; null: it is not. */
  readonly selfPreservation: string | null
  /** Streams of sidecars that wait to be admitted. */
  readonly newcomers: number
  readonly sinks: readonly { readonly sink: string; readonly error: string | null; readonly lag: number }[]
}

export interface Finding {
  readonly mode: Mode
  readonly evidence: string
  /** null in `target`. */
  readonly endsWhen: string | null
}

/** A transaction or a read that takes longer is slow. */
export const slowMs = 1_000
/** Writes must have been taken for so long before what was refused counts as over. */
export const settledMs = 5_000

type Rule = (input: ModeInput, before: Mode) => Finding

const target = (evidence: string): Finding => ({ mode: 'target', evidence, endsWhen: null })
const floor = (evidence: string, endsWhen: string): Finding => ({ mode: 'floor', evidence, endsWhen })
const degraded = (evidence: string, endsWhen: string): Finding => ({ mode: 'degraded', evidence, endsWhen })
const recovery = (evidence: string, endsWhen: string): Finding => ({ mode: 'recovery', evidence, endsWhen })

const answers = 'the database answers'
const takesWrites = 'the database takes a transaction; it is asked once a second'
const isQuick = `nothing has taken longer than ${slowMs / 1_000} s for 10 s`

const databaseAway = ({ database }: ModeInput): string =>
  `the database does not answer${database.lastError === null ? '' : `: ${database.lastError}`}`

const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`

const register: Rule = input => {
  const { database, writes } = input
  if (!database.connected) return floor(`writes are refused: ${databaseAway(input)}`, answers)
  if (writes.refusal !== null)
    return floor(`writes are refused: the database does not take them: ${writes.refusal}`, takesWrites)
  if (writes.restoredMs !== null && writes.restoredMs < settledMs)
    return recovery(
      `the database takes writes again since ${seconds(writes.restoredMs)}; ${writes.waiting} wait`,
      `it has taken them for ${settledMs / 1_000} s`,
    )
  if (writes.slowestMs > slowMs)
    return degraded(`a write took ${seconds(writes.slowestMs)}; ${writes.waiting} wait`, isQuick)
  return target('the database takes writes')
}

/** What holds for everything that shows the mesh: it is not there, old, late or about to be whole. */
const stale = (input: ModeInput, before: Mode, what: { none: string; old: string }): Finding | null => {
  const { database, revision, head } = input
  if (!input.loaded) return floor(`${what.none}: the mesh state has not loaded`, 'it has loaded')
  if (!database.connected) return degraded(`${what.old} ${revision}: ${databaseAway(input)}`, answers)
  if (database.slowestMs > slowMs)
    return degraded(`changes are late: a read of the log took ${seconds(database.slowestMs)}`, isQuick)
  if (before !== 'target' && head > revision)
    return recovery(`${head - revision} revisions are still to be read`, `revision ${head} is applied`)
  return null
}

const discover: Rule = (input, before) =>
  stale(input, before, { none: 'reads are refused', old: 'reads stay at revision' }) ??
  target(`reads are as of revision ${input.revision}`)

const health: Rule = input => {
  if (!input.loaded)
    return floor('nothing is checked and nobody expires: the mesh state has not loaded', 'it has loaded')
  if (!input.database.connected)
    return degraded(`nobody expires and verdicts stay as they are: ${databaseAway(input)}`, answers)
  if (input.writes.refusal !== null)
    return degraded(
      `verdicts stay as they are: the database does not take writes: ${input.writes.refusal}`,
      takesWrites,
    )
  if (!input.swept)
    return degraded(
      'nobody expires: no replica is known to watch the leases',
      'one has taken over, a few seconds after its predecessor went',
    )
  if (input.selfPreservation !== null)
    return degraded(
      `expiry is paused: ${input.selfPreservation}`,
      'fewer leases are due, or their instances are removed',
    )
  if (input.recoveringUntil !== null)
    return recovery(
      'leases get a full TTL after an interruption',
      `at ${new Date(input.recoveringUntil).toISOString()}`,
    )
  return target('leases and checks are followed')
}

const push: Rule = (input, before) => {
  const old = 'sidecars, also new ones, get the configuration of revision'
  const finding = stale(input, before, { none: 'no sidecar is served', old })
  if (finding !== null) return finding
  if (before !== 'target' && input.newcomers > 0)
    return recovery(`${input.newcomers} sidecars wait for their turn to connect`, 'they have been admitted')
  return target('sidecars get changes as they are committed')
}

const publish: Rule = (input, before) => {
  const { database, writes, sinks } = input
  if (!database.connected) return floor(`events wait: ${databaseAway(input)}`, answers)
  if (writes.refusal !== null)
    return degraded(
      `how far a sink has come cannot be written down, so events may come again: ${writes.refusal}`,
      takesWrites,
    )
  const failing = sinks.filter(({ error }) => error !== null)
  if (failing.length > 0)
    return degraded(
      failing.map(({ sink, lag, error }) => `${sink} is ${lag} revisions behind: ${error ?? ''}`).join('; '),
      'these sinks take their events',
    )
  const behind = sinks.filter(({ lag }) => lag > 0)
  if (before !== 'target' && behind.length > 0)
    return recovery(
      behind.map(({ sink, lag }) => `${sink} is ${lag} revisions behind`).join('; '),
      'these sinks have caught up',
    )
  return target(`${sinks.length} sinks keep up or have nothing to report`)
}

/** What holds now for each capability, given the mode that held before. */
export const modeRules: Readonly<Record<Capability, Rule>> = { register, discover, health, push, publish }
