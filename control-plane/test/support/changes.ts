import type { ChangeSet, DocumentChange } from '../../src/domain/change.ts'
import type { LoggedChange } from '../../src/domain/outbox.ts'

/** A change of the document `Service/{name}`; its id is made of its place in the log. */
export const documentChange = (
  overrides: Partial<DocumentChange> & { readonly revision: number; readonly name?: string },
): DocumentChange => {
  const { name = 'a', ...change } = overrides
  const position = change.position ?? 0
  const document = { kind: 'Service', name, spec: { protocol: 'http' }, revision: change.revision }
  return {
    id: `00000000-0000-7000-8000-${String(change.revision).padStart(8, '0')}${String(position).padStart(4, '0')}`,
    position,
    occurredAt: '2026-01-01T00:00:00.000Z',
    actor: 'test',
    traceparent: null,
    aggregateType: 'document',
    aggregateId: `Service/${name}`,
    type: 'document.applied',
    before: null,
    after: document,
    ...change,
  }
}

/** As the outbox reads a revision from Postgres. */
export const toLogged = ({ changes }: ChangeSet): LoggedChange[] =>
  changes.map(({ occurredAt, before, after, ...change }, index) => ({
    ...change,
    last: index === changes.length - 1,
    occurredAt: Date.parse(occurredAt),
    payload: JSON.stringify({ before, after }),
  }))

export const loggedChange = (overrides: Parameters<typeof documentChange>[0]): LoggedChange => {
  const change = documentChange(overrides)
  const [logged] = toLogged({ revision: change.revision, changes: [change] })
  if (logged === undefined) throw new Error('a change set of one change has one change')
  return logged
}
