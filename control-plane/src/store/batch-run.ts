import type pg from 'pg'
import type { ChangeSet } from '../domain/change.ts'
import { Batch } from './batch.ts'
import { beginAndRead } from './batch-sql.ts'
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
}

interface BatchRun extends WriteOutcome {
  readonly sets: readonly ChangeSet[]
  /** Of each write, if the batch is committed. */
  readonly outcomes: readonly Settled<unknown>[]
}

/**
 * Runs writes as one transaction, which has the mesh's lock. Rejects when they could not be read or decided; the
 * transaction is then still open.
 */
export const runBatch = async (
  client: pg.Client,
  writes: readonly Write<unknown>[],
  { ids, room, refusal, turn }: BatchRunOptions,
): Promise<BatchRun> => {
  const touches = writes.flatMap(write => write.touches)
  const roles = [...new Set(writes.flatMap(({ fence }) => fence?.role ?? []))]
  const { input, fences } = await beginAndRead(client, touches, roles)
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
  return { sets, outcomes, ...(await writeAndCommit(client, { part, end, earlier })) }
}
