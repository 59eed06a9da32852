import { hash } from 'node:crypto'
import type { Revision } from '../../domain/revision.ts'
import type { StreamStatus } from './status.ts'

/** Nothing is waiting or under way: everything has been answered. */
export const isSettled = ({ types }: Pick<StreamStatus, 'types'>): boolean =>
  types.every(({ waiting, unansweredSince }) => waiting === 0 && unansweredSince === null)

/** A status from a moment ago, when its sidecar is known to have stayed as it was up to `revision`. */
export const stillSettled = (status: StreamStatus, revision: Revision): StreamStatus => {
  if (!isSettled(status)) return status
  const answeredRevision = Math.max(status.answeredRevision, revision)
  const syncedRevision = status.inSync ? Math.max(status.syncedRevision, revision) : status.syncedRevision
  return { ...status, syncedRevision, answeredRevision }
}

/**
 * What a status says beside revisions that move on by themselves and the time of the last message: while it is
 * equal, the sidecar is where it was. A digest, since one is kept for each: the text would be a chain of a hundred
 * strings that V8 joins only when somebody reads it.
 */
export const statusShape = (status: StreamStatus): string => {
  const { stream, inSync, types, nacks, rivals } = status
  let shape = `${stream} ${status.address}`
  for (const type of types) {
    const { typeUrl, wildcard, subscribed, sent, acked, waiting, unansweredSince } = type
    shape += `|${typeUrl} ${wildcard ? '*' : ''}${subscribed} ${sent} ${acked} ${waiting} ${unansweredSince ?? ''}`
  }
  if (!inSync) shape += `!${status.syncedRevision}`
  if (!isSettled(status)) shape += `?${status.answeredRevision}`
  if (nacks.length > 0 || rivals.length > 0) shape += JSON.stringify([nacks, rivals])
  return hash('sha256', shape, 'base64')
}
