import { Type, type Static } from 'typebox'
import { passiveHealthSchema } from './passive-health.ts'
import { completeChecks, serviceChecksSchema } from './service-checks.ts'
import { choiceField, closed } from './schema.ts'

export const protocols = ['http', 'http2', 'grpc'] as const

/** What instances of a service speak: HTTP/1.1, HTTP/2 without TLS, or gRPC (HTTP/2). */
export type Protocol = (typeof protocols)[number]

export const serviceSchema = Type.Object(
  {
    protocol: Type.Optional(
      choiceField({ values: protocols, description: 'What the instances speak. Default: http.' }),
    ),
    description: Type.Optional(
      Type.String({
        maxLength: 1_000,
        description: 'A sentence for people.',
        'x-accepted': 'a text of at most 1000 characters',
      }),
    ),
    passiveHealth: Type.Optional(passiveHealthSchema),
    checks: Type.Optional(serviceChecksSchema),
  },
  { ...closed, description: 'What a service is, for those who call it. The document has its name.' },
)

/** A `Service` as written, with its default filled in. */
export type ServiceSpec = Static<typeof serviceSchema> & { protocol: Protocol }

export const completeService = (spec: Static<typeof serviceSchema>): ServiceSpec => ({
  ...spec,
  protocol: spec.protocol ?? 'http',
  ...(spec.checks === undefined ? {} : { checks: completeChecks(spec.checks) }),
})
