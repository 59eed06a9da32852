/**
 * Where passive health is with an instance: `ejected` gets no requests, `trial` gets a share of its weight, and of
 * one that is `readmitted` only the level is remembered.
 */
export interface TrafficHold {
  readonly phase: 'ejected' | 'trial' | 'readmitted'
  /** Of its weight, 0 to 1. */
  readonly share: number
  /** How often it was ejected lately: each further ejection lasts twice as long. */
  readonly level: number
  /** When this step began; ISO 8601, Postgres time. */
  readonly from: string
}
