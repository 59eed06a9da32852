import * as fc from 'fast-check'

export interface FuzzRun {
  readonly ms: number
  /** Absent: another one each time. A failure names it, with the path to the case. */
  readonly seed?: number
}

/** Looks for a case in which the property does not hold, for so long; throws with the smallest one found. */
export const fuzz = async <Case>(property: fc.IRawProperty<Case>, { ms, seed }: FuzzRun): Promise<void> => {
  await fc.assert(property, {
    ...(seed === undefined ? {} : { seed }),
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: ms,
    markInterruptAsFailure: false,
  })
}
