import type { ModeState } from '../domain/mode.ts'
import type { Verdict } from '../domain/verdict.ts'
import type { HistogramSample } from './instrument.ts'
import type { HistogramReading, XdsObserved } from './xds-observed.ts'

/** What the parts of a replica tell about themselves. Totals count from the start of the process. */
export interface Observed {
  readonly xds: XdsObserved
  /** Load reports of sidecars. */
  readonly loads: {
    readonly streams: number
    readonly reports: number
    readonly bytes: number
    readonly refused: number
    readonly absurd: number
    /** Sidecars, and clusters and endpoints of them, that are remembered. */
    readonly reporters: number
    readonly entries: number
    readonly evicted: number
  }
  /** Tools that ask what sidecars have. */
  readonly clientStatus: { readonly requests: number; readonly refused: number; readonly bytes: number }
  readonly writes: {
    /** Writes that wait for their transaction now. */
    readonly waiting: number
    /** Transactions committed, each with one write or more. */
    readonly batches: number
  }
  readonly feed: {
    /** What the mesh state has applied. */
    readonly revision: number
    /** The newest revision that the last read of the log saw. */
    readonly head: number
    readonly connected: boolean
  }
  readonly mesh: {
    readonly services: number
    readonly instances: Readonly<Record<Verdict, number>>
  }
  readonly checks: {
    /** Checks that this replica runs. */
    readonly targets: number
    readonly probes: number
    readonly failures: number
    readonly missed: number
    /** How long after their turn probes began (seconds). */
    readonly lateness: HistogramReading
    /** Checks that are due and wait for a free slot. */
    readonly waiting: number
    /** Changed statuses that are not in the log yet. */
    readonly unwritten: number
  }
  /** Passive health. */
  readonly traffic: {
    /** Windows of load reports that are kept. */
    readonly entries: number
    readonly evicted: number
    /** Instances of the mesh by phase. */
    readonly held: Readonly<Record<'ejected' | 'trial' | 'readmitted', number>>
    readonly ejections: number
    readonly spared: number
  }
  readonly heartbeats: {
    /** Beats that wait for the next flush now. */
    readonly pending: number
  }
  readonly outbox: readonly {
    readonly sink: string
    readonly lag: number
    readonly lagMs: number
    readonly parked: number
    readonly paused: object | null
    readonly compacted: boolean
    readonly orphaned: boolean
    readonly error: string | null
  }[]
  readonly modes: readonly ModeState[]
  readonly requests: readonly HistogramSample[]
  readonly process: {
    readonly rssBytes: number
    readonly heapUsedBytes: number
    readonly cpuSeconds: number
    readonly uptimeSeconds: number
    /** Delay of the event loop since the last reading. */
    readonly loopDelaySeconds: { readonly p50: number; readonly p99: number; readonly max: number }
  }
}

/** One callback per part; a part that is not observed has no series. A callback may ask the database. */
export type Observers = {
  readonly [Part in keyof Observed]?: () => Observed[Part] | Promise<Observed[Part]>
}
