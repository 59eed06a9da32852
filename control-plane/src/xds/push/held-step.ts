import type { RevisionRecord } from '../acks/revision-journal.ts'
import type { TypeStep } from './push-steps.ts'

/** A step of the source that stays open for streams which are told of one changed name later. */
export interface HeldStep {
  readonly step: TypeStep
  readonly record: RevisionRecord
  /** All have been told. */
  end(): void
}
