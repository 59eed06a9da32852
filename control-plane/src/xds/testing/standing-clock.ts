import { ManualClock } from '../../../test/support/manual-clock.ts'
import { systemClock } from '../../runtime/clock.ts'

/** Timers stand still; what is only put off to a later turn of the event loop is not. */
export class StandingClock extends ManualClock {
  override soon(run: () => void): void {
    systemClock.soon(run)
  }
}

/** Longer than a server waits for its streams to end. */
export const stopMs = 10_000
