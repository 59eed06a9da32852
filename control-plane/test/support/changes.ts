import type { DocumentChange } from '../../src/domain/change.ts'

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
