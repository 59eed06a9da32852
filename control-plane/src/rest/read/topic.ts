import type { Change } from '../../domain/change.ts'
import type { Revision } from '../../domain/revision.ts'
import type { MeshDelta } from '../../mesh/mesh-state.ts'

/**
 * What an answer depends on: everything, the documents, the summaries of all services, or one service with its
 * instances and its `Service` document.
 */
export type Topic = 'mesh' | 'documents' | 'services' | `service:${string}`

/** A summary counts instances by verdict, and shows the revision of the document. */
const changesSummaries = (change: Change): boolean =>
  change.aggregateType === 'instance'
    ? change.before?.verdict !== change.after?.verdict
    : (change.after ?? change.before)?.kind === 'Service'

/** The topics that a step of the feed touched (all but `mesh`), each with the last revision that did. */
export const touchedTopics = ({ sets }: Pick<MeshDelta, 'sets'>): Map<Topic, Revision> => {
  const touched = new Map<Topic, Revision>()
  for (const { revision, changes } of sets) {
    for (const change of changes) {
      const subject = change.after ?? change.before
      if (subject === null) continue
      if (changesSummaries(change)) touched.set('services', revision)
      if ('service' in subject) touched.set(`service:${subject.service}`, revision)
      else {
        touched.set('documents', revision)
        if (subject.kind === 'Service') touched.set(`service:${subject.name}`, revision)
      }
    }
  }
  return touched
}
