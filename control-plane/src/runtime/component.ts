/**
 * A part that runs. Constructing starts nothing; `start` runs the loop and resolves when `signal` has aborted
 * and the loop has ended. A loop survives its own errors (it logs and goes on); `start` rejects only for a
 * defect, which ends the process. The single step of the loop is a method of its own, for tests.
 */
export interface Component {
  readonly name: string
  start(signal: AbortSignal): Promise<void>
}
