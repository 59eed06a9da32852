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

/** The last two revisions that touched a topic; where that is not known, later ones. */
export interface Touches {
  readonly last: Revision
  readonly previous: Revision
}

/** The topics that a step of the feed touched (all but `mesh`), each with the revisions that did, in order. */
export const touchedTopics = ({ sets }: Pick<MeshDelta, 'sets'>): Map<Topic, readonly Revision[]> => {
  const touched = new Map<Topic, Revision[]>()
  const touch = (topic: Topic, revision: Revision): void => {
    const known = touched.get(topic)
    if (known === undefined) touched.set(topic, [revision])
    else if (known.at(-1) !== revision) known.push(revision)
  }
  for (const { revision, changes } of sets) {
    for (const change of changes) {
      const subject = change.after ?? change.before
      if (subject === null) continue
      if (changesSummaries(change)) touch('services', revision)
      if ('service' in subject) touch(`service:${subject.service}`, revision)
      else {
        touch('documents', revision)
        if (subject.kind === 'Service') touch(`service:${subject.name}`, revision)
      }
    }
  }
  return touched
}
