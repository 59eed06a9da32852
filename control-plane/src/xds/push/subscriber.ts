import type { Revision } from '../../domain/revision.ts'
import type { HeldStep } from './held-step.ts'

/** Somebody who wants to know of changed names of one resource set: one type of one stream. */
export interface Subscriber {
  /** `held`: the step of the change, where that is not the one which is being applied. */
  touch(name: string, revision: Revision, held?: HeldStep): void
  /**
   * Keeps the step that is being applied open for at most `count` subscribers of the same set, who are told of `name`
   * later. Absent: they must be told at once.
   */
  hold?(name: string, count: number): HeldStep
}
