import { formatDuration, parseDuration } from '@waymark/sidecar-config/model/duration.ts'
import type { FastifyReply } from 'fastify'
import { WaymarkError } from '../domain/errors.ts'
import type { Revision } from '../domain/revision.ts'
import type { Committed } from '../store/write.ts'
import { goneSignal, type RestContext } from './context.ts'
import { revisionSidecarsView } from './revision-sidecars.ts'
import type { RevisionSidecarsView } from './schemas/revision-sidecars.ts'

export interface AckedQuery {
  readonly wait?: 'acked'
  readonly timeout?: string
}

/** What a write answers besides: `sidecars` if it was to wait for them. */
export interface AckedAnswer {
  readonly sidecars?: RevisionSidecarsView
}

/** How long to wait (ms); null: not at all. Throws WaymarkError `invalid_request`. */
export const ackWaitMs = ({ wait, timeout }: AckedQuery, { limits }: RestContext): number | null => {
  const refuse = (detail: string, accepted: string): WaymarkError =>
    new WaymarkError('invalid_request', `?timeout ${detail}`, {
      fields: [{ pointer: '?timeout', detail, accepted }],
    })
  if (wait === undefined) {
    if (timeout === undefined) return null
    throw refuse('is given without wait', 'wait=acked&timeout=5s')
  }
  if (timeout === undefined) return limits.defaultAckWaitMs
  const ms = parseDuration(timeout)
  if (ms !== undefined && ms <= limits.maxAckWaitMs) return ms
  throw refuse('is out of range', `a duration from 0s to ${formatDuration(limits.maxAckWaitMs)}`)
}

/**
 * Writes, and waits for the sidecars that the write touches if the query asks for it. What cannot be waited for is
 * refused before anything is written; what has been written stands, whatever the sidecars say. `unchanged`: the
 * revision of what the write found to be as wanted already.
 */
export const ackedWrite = async <R>(
  options: {
    readonly context: RestContext
    readonly query: AckedQuery
    readonly reply: FastifyReply
    readonly unchanged: (result: R) => Revision
  },
  write: () => Promise<Committed<R>>,
): Promise<{ readonly committed: Committed<R>; readonly acked: AckedAnswer }> => {
  const { context, query, reply, unchanged } = options
  const timeoutMs = ackWaitMs(query, context)
  if (timeoutMs === null) return { committed: await write(), acked: {} }
  const gone = goneSignal(reply)
  const leave = context.acks.reserve()
  try {
    const committed = await write()
    const revision = committed.changed ? committed.revision : unchanged(committed.result)
    const answers = await context.acks.collect({ revision, timeoutMs, until: 'acked', gone })
    return { committed, acked: { sidecars: revisionSidecarsView(answers) } }
  } finally {
    leave()
  }
}

/** The answer to a removal: empty, unless it was to wait. */
export const removed = (
  { sidecars }: AckedAnswer,
  reply: FastifyReply,
): { readonly sidecars: RevisionSidecarsView } | null => {
  if (sidecars !== undefined) return { sidecars }
  void reply.code(204)
  return null
}
