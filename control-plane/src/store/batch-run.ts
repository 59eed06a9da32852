import type pg from 'pg'
import type { ChangeSet } from '../domain/change.ts'
import { Batch } from './batch.ts'
import { beginAndRead, type BatchRead } from './batch-sql.ts'
import { writeAndCommit, writePart, type WriteOutcome } from './batch-write.ts'
import type { ChangeIds } from './change-ids.ts'
import { FencedError, type Settled, type Write } from './write.ts'

/** Writes whose rows are sent at once: the server writes them while the next ones are being decided. */
const partSize = 128

interface BatchRunOptions {
  readonly ids: ChangeIds
  /** Makes room in the log up to this revision. */
  readonly room: (revision: number) => Promise<void>
  /** What a write rejects with that has thrown this. */
  readonly refusal: (thrown: unknown) => Error
  /** Lets the process do something else for a turn. */
  readonly turn: () => Promise<void>
  /** The end of the transaction has been sent: what is sent now comes right behind it. */
  readonly onEnd: () => void
}

interface BatchRun extends WriteOutcome {
  readonly sets: readonly ChangeSet[]
  /** Of each write, if the batch is committed. */
  readonly outcomes: readonly Settled<unknown>[]
}

/** Begins the transaction of some writes, which gets the mesh's lock, and reads what they touch. */
export const beginBatch = (client: pg.Client, writes: readonly Write<unknown>[]): Promise<BatchRead> => {
  const touches = writes.flatMap(write => write.touches)
  const roles = [...new Set(writes.flatMap(({ fence }) => fence?.role ?? []))]
  return beginAndRead(client, touches, roles)
}

/**
 * Runs writes as the transaction that has been begun for them. Rejects when they could not be read or decided; the
 * transaction is then still open.
 */
export const runBatch = async (
  client: pg.Client,
  { writes, begun }: { readonly writes: readonly Write<unknown>[]; readonly begun: Promise<BatchRead> },
  { ids, room, refusal, turn, onEnd }: BatchRunOptions,
): Promise<BatchRun> => {
  const { input, fences } = await begun
  await room(input.revision + writes.length + 1)
  const batch = new Batch(input, ids)

  const settle = (write: Write<unknown>): Settled<unknown> => {
    const { fence } = write
    if (fence !== undefined && fences.get(fence.role) !== fence.fence)
      return { error: new FencedError(fence.role, fence.fence) }
    try {
      return { committed: batch.run(write) }
    } catch (thrown) {
      return { error: refusal(thrown) }
    }
  }

  const outcomes: Settled<unknown>[] = []
  const earlier: Promise<Error | null>[] = []
  for (const write of writes) {
    if (outcomes.length > 0 && outcomes.length % partSize === 0) {
      const part = batch.cut()
      if (!part.empty) earlier.push(writePart(client, part))
      await turn()
    }
    outcomes.push(settle(write))
  }
  const part = batch.cut()
  const { revision, incarnation, sets } = batch
  const end = part.empty && earlier.length === 0 ? null : { revision, incarnation, changed: sets.length > 0 }
  const ended = writeAndCommit(client, { part, end, earlier })
  onEnd()
  return { sets, outcomes, ...(await ended) }
}
