import { setTimeout as delay } from 'node:timers/promises'
import { DocumentClient } from './document-client.ts'
import { wishOfInstance } from './instance-wishes.ts'
import { Session, type SessionOptions } from './session.ts'

export interface WorkloadOptions extends SessionOptions {
  readonly signal: AbortSignal
}

/** Of what a client does. */
const shareOfDocuments = 0.3
/** A replica that is gone refuses at once: do not fill the history with that. */
const afterFailureMs = 50

/** One client that does one thing after the other, chosen by its seed, until the signal aborts. */
export const runClient = async ({ signal, ...options }: WorkloadOptions): Promise<void> => {
  const session = new Session(options)
  const documents = new DocumentClient(session)
  while (!signal.aborted) {
    const turn = session.turn()
    const failed =
      session.random() < shareOfDocuments ? await documents.wish(turn) : await wishOfInstance(session, turn)
    if (failed) await delay(afterFailureMs)
  }
  session.close()
}
