import { parseDocument } from '@waymark/sidecar-config/model/document.ts'
import type { Static } from 'typebox'
import { WaymarkError, type FieldError } from '../../domain/errors.ts'
import { goneSignal, stampRead, stampWrite, type RestApp, type RestContext } from '../context.ts'
import { ackedWrite, removed } from '../acked-write.ts'
import { etagOf, isCurrent, preconditionOf } from '../etag.ts'
import { noBody } from '../schemas/common.ts'
import { ReadQuery } from '../schemas/instance.ts'
import {
  CachedHeaders,
  Document,
  DocumentBody,
  DocumentList,
  DocumentListQuery,
  DocumentParams,
  PreconditionHeaders,
  WrittenDocument,
  type WrittenDocumentView,
} from '../schemas/document.ts'
import { problems } from '../schemas/problem.ts'
import { AckedQuery, Removed } from '../schemas/revision-sidecars.ts'
import { documentView } from '../views.ts'
import { writeContext } from '../write-context.ts'

type Ref = Static<typeof DocumentParams>

const missing = ({ kind, name }: Ref): WaymarkError =>
  new WaymarkError('document_not_found', `there is no ${kind} named ${name}`)

/** Kind and name may stand in the body too, but must not contradict the path. */
const checkIdentity = (params: Ref, body: Static<typeof DocumentBody>): void => {
  const fields: FieldError[] = (['kind', 'name'] as const)
    .filter(field => body[field] !== undefined && body[field] !== params[field])
    .map(field => ({
      pointer: `/${field}`,
      detail: `is not the ${field} of the path`,
      accepted: JSON.stringify(params[field]),
    }))
  if (fields.length > 0) throw new WaymarkError('invalid_request', 'path and body disagree', { fields })
}

/** The complete spec. Pointers of its errors are made to point into the body. */
const completeSpec = ({ kind, name }: Ref, spec: unknown): unknown => {
  const parsed = parseDocument(kind, name, spec)
  if (parsed.ok) return parsed.document.spec
  const inPath = parsed.errors.some(({ pointer }) => pointer.startsWith('{'))
  const fields = parsed.errors.map(error => ({
    ...error,
    pointer: error.pointer.startsWith('{') ? error.pointer : `/spec${error.pointer}`,
  }))
  const first = fields[0]
  const detail = first === undefined ? 'the spec is not accepted' : `${first.pointer}: ${first.detail}`
  throw new WaymarkError(inPath ? 'invalid_request' : 'invalid_document', detail, { fields })
}

/** `/documents` and below. */
export const documentRoutes = (app: RestApp, context: RestContext): void => {
  const { registry, mesh, reads, limits } = context
  const tags = ['documents']
  const path = '/documents/:kind/:name'

  app.get(
    '/documents',
    {
      schema: {
        tags,
        summary: 'Every document, or those of one kind',
        querystring: DocumentListQuery,
        response: {
          200: DocumentList,
          ...problems('invalid_request', 'not_ready', 'revision_not_reached', 'overloaded'),
        },
      },
    },
    async (request, reply) => {
      await reads.pass(request.query, 'documents', goneSignal(reply))
      stampRead(reply, context)
      return { revision: mesh.revision, documents: mesh.documents(request.query.kind).map(documentView) }
    },
  )

  app.get(
    path,
    {
      schema: {
        tags,
        summary: 'One document; its ETag is the revision that last changed it',
        params: DocumentParams,
        querystring: ReadQuery,
        headers: CachedHeaders,
        response: {
          200: Document,
          304: noBody('the version named by If-None-Match still holds'),
          ...problems(
            'invalid_request',
            'document_not_found',
            'not_ready',
            'revision_not_reached',
            'overloaded',
          ),
        },
      },
    },
    async (request, reply) => {
      await reads.pass(request.query, 'documents', goneSignal(reply))
      stampRead(reply, context)
      const document = mesh.document(request.params.kind, request.params.name)
      if (document === undefined) throw missing(request.params)
      void reply.header('etag', etagOf(document.revision))
      if (isCurrent(request.headers['if-none-match'], document.revision)) {
        void reply.code(304)
        return null
      }
      return documentView(document)
    },
  )

  app.put(
    path,
    {
      bodyLimit: limits.documentBytes,
      schema: {
        tags,
        summary: 'Apply a document; an equal one changes nothing',
        params: DocumentParams,
        querystring: AckedQuery,
        headers: PreconditionHeaders,
        body: DocumentBody,
        response: {
          200: WrittenDocument,
          201: WrittenDocument,
          ...problems(
            'invalid_request',
            'invalid_document',
            'version_conflict',
            'database_unavailable',
            'overloaded',
          ),
        },
      },
    },
    async (request, reply): Promise<WrittenDocumentView> => {
      const { params, query, body, headers } = request
      checkIdentity(params, body)
      const spec = completeSpec(params, body.spec)
      const ifMatch = preconditionOf(headers)
      const { committed, acked } = await ackedWrite(
        { context, query, reply, unchanged: ({ document: { revision } }) => revision },
        () => registry.applyDocument({ ...params, spec, ifMatch }, writeContext(request)),
      )
      const { document, created } = stampWrite(reply, committed)
      void reply.code(created ? 201 : 200).header('etag', etagOf(document.revision))
      return { ...documentView(document), ...acked }
    },
  )

  app.delete(
    path,
    {
      schema: {
        tags,
        summary: 'Delete a document',
        params: DocumentParams,
        querystring: AckedQuery,
        headers: PreconditionHeaders,
        response: {
          200: Removed,
          204: noBody('the document is gone'),
          ...problems(
            'invalid_request',
            'document_not_found',
            'version_conflict',
            'database_unavailable',
            'overloaded',
          ),
        },
      },
    },
    async (request, reply) => {
      const { params, query, headers } = request
      const ifMatch = preconditionOf(headers)
      const { committed, acked } = await ackedWrite(
        { context, query, reply, unchanged: ({ revision }) => revision },
        () => registry.deleteDocument({ ...params, ifMatch }, writeContext(request)),
      )
      stampWrite(reply, committed)
      return removed(acked, reply)
    },
  )
}
