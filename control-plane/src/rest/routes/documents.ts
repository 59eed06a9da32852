import { parseDocument } from '@waymark/sidecar-config/model/document.ts'
import type { Static } from 'typebox'
import { WaymarkError, type FieldError } from '../../domain/errors.ts'
import { stampWrite, type RestApp, type RestContext } from '../context.ts'
import { ackedWrite, removed } from '../acked-write.ts'
import { etagOf, preconditionOf } from '../etag.ts'
import { noBody } from '../schemas/common.ts'
import {
  DocumentBody,
  DocumentParams,
  PreconditionHeaders,
  WrittenDocument,
  type WrittenDocumentView,
} from '../schemas/document.ts'
import { problems } from '../schemas/problem.ts'
import { AckedQuery, Removed } from '../schemas/revision-sidecars.ts'
import { documentView } from '../views.ts'
import type { SinkPort } from '../sink-port.ts'
import { writeContext } from '../write-context.ts'

type Ref = Static<typeof DocumentParams>

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

/** A name may belong to the configuration, and there may be too many. */
const checkSink = ({ name }: Ref, sinks: SinkPort): void => {
  const refusal = sinks.refuses(name)
  if (refusal === null) return
  throw new WaymarkError('invalid_document', `EventSink/${name}: ${refusal}`, {
    fields: [{ pointer: '{name}', detail: refusal, accepted: 'another name, or one sink less' }],
  })
}

/** What changes documents: below `/documents`. */
export const documentRoutes = (app: RestApp, context: RestContext): void => {
  const { registry, sinks, limits } = context
  const tags = ['documents']
  const path = '/documents/:kind/:name'

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
      if (params.kind === 'EventSink') checkSink(params, sinks)
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
