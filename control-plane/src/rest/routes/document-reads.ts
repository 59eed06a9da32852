import type { Static } from 'typebox'
import { WaymarkError } from '../../domain/errors.ts'
import { documentKey, type Document as DocumentState } from '../../domain/document.ts'
import type { MeshView } from '../../mesh/mesh-view.ts'
import { stampRead, type RestApp, type RestContext } from '../context.ts'
import { etagOf, isCurrent } from '../etag.ts'
import { fieldPicker, pageOf } from '../read/page.ts'
import { questionName } from '../read/question-name.ts'
import type { Question } from '../read/state-reads.ts'
import { CachedHeaders } from '../schemas/common.ts'
import {
  Document,
  documentFields,
  DocumentList,
  DocumentListQuery,
  DocumentParams,
  type DocumentView,
} from '../schemas/document.ts'
import { StateQuery } from '../schemas/instance.ts'
import { documentView } from '../views.ts'
import { stateAnswers } from './instance-reads.ts'

type Ref = Static<typeof DocumentParams>

const existing = (mesh: MeshView, { kind, name }: Ref): DocumentState => {
  const document = mesh.document(kind, name)
  if (document !== undefined) return document
  throw new WaymarkError('document_not_found', `there is no ${kind} named ${name}`)
}

const keyOf = ({ kind, name }: DocumentState): string => documentKey(kind, name)

const listQuestion = (query: Static<typeof DocumentListQuery>): Question => {
  const { kind, limit, fields } = query
  const pick = fieldPicker(fields, documentFields)
  return {
    name: questionName('documents', query),
    topic: 'documents',
    scope: 'documents',
    head: 'list',
    limit,
    view: (mesh, after) => {
      const { items, next } = pageOf(mesh.documents(kind), keyOf, { limit, after })
      const documents = items.map(documentView)
      return {
        next,
        body:
          pick === undefined
            ? { documents }
            : { fields: fields?.split(',') ?? [], documents: documents.map(pick) },
      }
    },
  }
}

const documentQuestion = (ref: Ref): Question => ({
  name: `document ${documentKey(ref.kind, ref.name)}`,
  topic: 'documents',
  scope: 'documents',
  head: 'none',
  view: mesh => ({ body: documentView(existing(mesh, ref)) }),
})

/** What is read of documents: `/documents` and below. */
export const documentReadRoutes = (app: RestApp, context: RestContext): void => {
  const { mesh, states } = context
  const tags = ['documents']

  app.get(
    '/documents',
    {
      schema: {
        tags,
        summary: 'Every document, or those of one kind',
        querystring: DocumentListQuery,
        headers: CachedHeaders,
        response: { 200: DocumentList, ...stateAnswers() },
      },
    },
    ({ query }, reply) => {
      states.send(listQuestion(query), query, reply)
    },
  )

  app.get(
    '/documents/:kind/:name',
    {
      // Its ETag is strong, and names one sequence of bytes.
      compress: false,
      schema: {
        tags,
        summary: 'One document; its ETag is the revision that last changed it',
        params: DocumentParams,
        querystring: StateQuery,
        headers: CachedHeaders,
        response: {
          200: Document,
          ...stateAnswers('document_not_found'),
        },
      },
    },
    ({ params, query, headers }, reply) => {
      const present = (): DocumentView | null => {
        stampRead(reply, context)
        const document = existing(mesh, params)
        void reply.header('etag', etagOf(document.revision))
        if (!isCurrent(headers['if-none-match'], document.revision)) return documentView(document)
        void reply.code(304)
        return null
      }
      states.send({ ...documentQuestion(params), present }, query, reply)
    },
  )
}
