import { Type, type Static } from 'typebox'
import { closed, define, RevisionNumber, ServiceName } from './common.ts'
import { listHead, listQuery, partialList } from './read.ts'
import { ackedAnswer } from './revision-sidecars.ts'

const Kind = Type.String({
  examples: ['Service'],
  pattern: '^[A-Za-z]{1,63}$',
  description: 'a kind of document: Service or TrafficPolicy',
})
const Spec = Type.Unsafe<unknown>({ type: 'object', description: 'the fields of its kind' })

export const DocumentParams = Type.Object({ kind: Kind, name: ServiceName }, closed)

/** Kind and name may be repeated, so that a file of a document is a body as it stands. */
export const DocumentBody = Type.Object(
  { kind: Type.Optional(Kind), name: Type.Optional(ServiceName), spec: Spec },
  {
    ...closed,
    examples: [{ spec: {} }],
    description: 'an object with spec; kind and name, if given, as in the path',
  },
)

/** Read by `etag.ts`; header schemas stay open. */
export const PreconditionHeaders = Type.Object({
  'if-match': Type.Optional(
    Type.String({ description: 'the ETag of the version that may be replaced, such as "17"' }),
  ),
  'if-none-match': Type.Optional(Type.String({ description: '*: the document must not exist yet' })),
})

const DocumentSchema = define(
  'Document',
  Type.Object({ kind: Kind, name: ServiceName, spec: Spec, revision: RevisionNumber }, closed),
)
export type DocumentView = Static<typeof DocumentSchema.schema>
export const Document = DocumentSchema.ref

const WrittenDocumentSchema = define(
  'WrittenDocument',
  Type.Object({ ...DocumentSchema.schema.properties, ...ackedAnswer }, closed),
)
/** The answer to a write. */
export const WrittenDocument = WrittenDocumentSchema.ref
export type WrittenDocumentView = Static<typeof WrittenDocumentSchema.schema>

const DocumentListSchema = define(
  'DocumentList',
  Type.Object({ ...listHead, documents: Type.Array(Document) }, closed),
)
export type DocumentListView = Static<typeof DocumentListSchema.schema>
const PartialDocumentList = partialList('PartialDocumentList', {
  documents: Type.Object(DocumentSchema.schema.properties),
})
export const DocumentList = Type.Union([DocumentListSchema.ref, PartialDocumentList.ref])
export const documentFields = Object.keys(DocumentSchema.schema.properties)

export const DocumentListQuery = Type.Object({ ...listQuery, kind: Type.Optional(Kind) }, closed)

export const namedDocumentSchemas = [
  DocumentSchema,
  WrittenDocumentSchema,
  DocumentListSchema,
  PartialDocumentList,
]
