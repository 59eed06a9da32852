import type { Clock } from '../../runtime/clock.ts'

/** Input is read between two turns; what it leads to may take another one. */
const turns = 2

/**
 * Resolves when the input that was pending has been read. To be awaited before anybody is judged for his silence: after the
 * process stood still, timers run first, and answers that have long come are still unread.
 */
export async function pendingInput(clock: Pick<Clock, 'soon'>): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) {
    await new Promise<void>(resolve => {
      clock.soon(resolve)
    })
  }
}
