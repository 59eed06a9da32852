import { isDeepStrictEqual } from 'node:util'
import type { Document } from '../domain/document.ts'
import { WaymarkError } from '../domain/errors.ts'
import type { Write } from '../store/write.ts'
import type { Precondition, WriteContext } from './context.ts'

interface DocumentRef {
  readonly kind: string
  readonly name: string
  readonly ifMatch: Precondition
}

const checkPrecondition = ({ kind, name, ifMatch }: DocumentRef, before: Document | undefined): void => {
  if (ifMatch === null) return
  const current = before === undefined ? 'absent' : before.revision
  if (ifMatch === current) return
  throw new WaymarkError(
    'version_conflict',
    `${kind}/${name} ${before === undefined ? 'does not exist' : `is at revision ${before.revision}`}, ` +
      `the request expects ${ifMatch === 'absent' ? 'that it does not exist' : `revision ${ifMatch}`}`,
  )
}

export const applyDocumentWrite = (
  input: DocumentRef & { readonly spec: unknown },
  { actor, traceparent }: WriteContext,
): Write<{ readonly document: Document; readonly created: boolean }> => ({
  touches: [{ kind: 'document', documentKind: input.kind, name: input.name }],
  actor,
  traceparent,
  decide: draft => {
    const { kind, name, spec } = input
    const before = draft.document(kind, name)
    checkPrecondition(input, before)
    if (before !== undefined && isDeepStrictEqual(before.spec, spec))
      return { document: before, created: false }
    const document = draft.putDocument({ kind, name, spec, revision: draft.revision }, 'document.applied')
    return { document, created: before === undefined }
  },
})

export const deleteDocumentWrite = (
  input: DocumentRef,
  { actor, traceparent }: WriteContext,
): Write<Document> => ({
  touches: [{ kind: 'document', documentKind: input.kind, name: input.name }],
  actor,
  traceparent,
  decide: draft => {
    const before = draft.document(input.kind, input.name)
    checkPrecondition(input, before)
    if (before === undefined) {
      throw new WaymarkError('document_not_found', `there is no ${input.kind} named ${input.name}`)
    }
    draft.removeDocument(before)
    return before
  },
})
