import { BinaryReader } from '@bufbuild/protobuf/wire'

const spanKinds = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'] as const

/** The part of an OpenTelemetry span that tests look at. Ids are hexadecimal. */
export interface Span {
  readonly service: string
  /** `service.instance.id`: of a control plane, its replica. */
  readonly instance: string
  readonly traceId: string
  readonly spanId: string
  /** Empty: the root of its trace. */
  readonly parentSpanId: string
  readonly name: string
  readonly kind: (typeof spanKinds)[number]
  /** String attributes only. */
  readonly attributes: Readonly<Record<string, string>>
}

type Fields = Readonly<Record<number, (reader: BinaryReader) => void>>

/** Reads the fields of one message that `fields` names, and skips the others. */
const readMessage = (bytes: Uint8Array, fields: Fields): void => {
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag()
    const read = fields[number]
    if (read === undefined) reader.skip(wireType, number)
    else read(reader)
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** A KeyValue (opentelemetry/proto/common/v1): key 1, value 2, whose string_value is 1. */
const readAttribute = (bytes: Uint8Array, into: Record<string, string>): void => {
  const pair: { key: string; value?: string } = { key: '' }
  readMessage(bytes, {
    1: reader => {
      pair.key = reader.string()
    },
    2: reader => {
      readMessage(reader.bytes(), {
        1: inner => {
          pair.value = inner.string()
        },
      })
    },
  })
  if (pair.value !== undefined) into[pair.key] = pair.value
}

/** A Span (opentelemetry/proto/trace/v1): ids 1, 2 and 4, name 5, kind 6, attributes 9. */
const readSpan = (bytes: Uint8Array): Omit<Span, 'service' | 'instance'> => {
  const attributes: Record<string, string> = {}
  const span = { traceId: '', spanId: '', parentSpanId: '', name: '', kind: 0 }
  readMessage(bytes, {
    1: reader => {
      span.traceId = hex(reader.bytes())
    },
    2: reader => {
      span.spanId = hex(reader.bytes())
    },
    4: reader => {
      span.parentSpanId = hex(reader.bytes())
    },
    5: reader => {
      span.name = reader.string()
    },
    6: reader => {
      span.kind = reader.int32()
    },
    9: reader => {
      readAttribute(reader.bytes(), attributes)
    },
  })
  return { ...span, kind: spanKinds[span.kind] ?? 'unspecified', attributes }
}

/** ResourceSpans: resource 1 (its attributes 1), scope_spans 2 (their spans 2). */
const readResourceSpans = (bytes: Uint8Array): Span[] => {
  const resource: Record<string, string> = {}
  const spans: Omit<Span, 'service' | 'instance'>[] = []
  readMessage(bytes, {
    1: reader => {
      readMessage(reader.bytes(), {
        1: inner => {
          readAttribute(inner.bytes(), resource)
        },
      })
    },
    2: reader => {
      readMessage(reader.bytes(), { 2: inner => void spans.push(readSpan(inner.bytes())) })
    },
  })
  const service = resource['service.name'] ?? ''
  const instance = resource['service.instance.id'] ?? ''
  return spans.map(span => ({ ...span, service, instance }))
}

/** The spans of an ExportTraceServiceRequest (opentelemetry/proto/collector/trace/v1). */
export const decodeSpans = (request: Uint8Array): Span[] => {
  const spans: Span[] = []
  readMessage(request, { 1: reader => void spans.push(...readResourceSpans(reader.bytes())) })
  return spans
}
