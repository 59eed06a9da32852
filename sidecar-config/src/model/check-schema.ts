/**
 * Active checks as they are written, in a registration or in the document of a service. The `description` of each
 * field says what is accepted, in words that also fit an error.
 */
import { Type, type Static } from 'typebox'
import { durationPattern } from './duration.ts'
import { nullable, textRecord } from './json-schema.ts'
import { closed } from './schema.ts'

const duration = (description: string, fallback: string) =>
  Type.Optional(Type.String({ maxLength: 32, pattern: durationPattern, description, default: fallback }))

const threshold = (fallback: number) =>
  Type.Optional(
    Type.Integer({ minimum: 1, maximum: 100, default: fallback, description: 'an integer from 1 to 100' }),
  )

const hostName = '^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$'

const tls = Type.Optional(
  nullable(
    Type.Object(
      {
        serverName: Type.Optional(
          nullable(
            Type.String({
              minLength: 1,
              maxLength: 253,
              pattern: hostName,
              description:
                'a host name: asked for by SNI, and what the certificate must be for; null: the address',
            }),
          ),
        ),
        ca: Type.Optional(
          nullable(
            Type.String({
              minLength: 1,
              maxLength: 16_384,
              description:
                'certificates in PEM that the certificate must lead to, up to 16384 characters; null: those of the system',
            }),
          ),
        ),
        skipVerify: Type.Optional(
          Type.Boolean({ default: false, description: 'true (any certificate will do) or false' }),
        ),
        clientCertificate: Type.Optional(
          Type.Boolean({
            default: false,
            description:
              'true (a server that asks for one gets the certificate of the control plane) or false',
          }),
        ),
      },
      {
        ...closed,
        description:
          'an object with serverName, ca, skipVerify and clientCertificate; null or absent: no TLS',
      },
    ),
  ),
)

const common = {
  interval: duration('a duration from 1s to 1h', '10s'),
  timeout: duration('a duration from 10ms up to the interval', '1s'),
  jitter: duration('a duration from 0s up to the interval', '0s'),
  healthyThreshold: threshold(2),
  unhealthyThreshold: threshold(3),
  port: Type.Optional(
    nullable(
      Type.Integer({
        minimum: 1,
        maximum: 65_535,
        description: "a port from 1 to 65535; null or absent: the instance's own port",
      }),
    ),
  ),
  tls,
}

const host = Type.Optional(
  nullable(
    Type.String({
      minLength: 1,
      maxLength: 261,
      pattern: '^[A-Za-z0-9._\\[\\]:-]+$',
      description: 'a host name or address, with or without a port; null or absent: address and port',
    }),
  ),
)

export const checkMethods = ['GET', 'HEAD', 'OPTIONS'] as const

const httpCheckSchema = Type.Object(
  {
    kind: Type.Literal('http'),
    method: Type.Optional(
      Type.Enum([...checkMethods], {
        type: 'string',
        default: 'GET',
        description: '"GET", "HEAD" or "OPTIONS"',
      }),
    ),
    path: Type.Optional(
      Type.String({
        maxLength: 1_024,
        pattern: '^/[!-~]*$',
        default: '/',
        description: 'a path that begins with "/", printable ASCII without spaces, up to 1024 characters',
      }),
    ),
    host,
    headers: Type.Optional(
      textRecord({
        key: "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,63}$",
        value: Type.String({
          maxLength: 1_024,
          pattern: '^[ -~]*$',
          description: 'a header value of printable ASCII, up to 1024 characters',
        }),
        maxProperties: 16,
        description: 'up to 16 header names (tokens of up to 63 characters) with their values',
      }),
    ),
    expect: Type.Optional(
      Type.Array(
        Type.String({
          pattern: '^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$',
          description: 'a status or an ascending range of them: "204", "200-299"',
        }),
        { minItems: 1, maxItems: 16, default: ['200-299'], description: '1 to 16 statuses or ranges' },
      ),
    ),
    body: Type.Optional(
      nullable(
        Type.String({
          minLength: 1,
          maxLength: 512,
          description:
            'a regular expression in RE2 syntax that is found in the first 16 KiB of the body, up to 512 characters; null or absent: any body',
        }),
      ),
    ),
    ...common,
  },
  closed,
)

const tcpCheckSchema = Type.Object({ kind: Type.Literal('tcp'), ...common }, closed)

const grpcCheckSchema = Type.Object(
  {
    kind: Type.Literal('grpc'),
    service: Type.Optional(
      Type.String({
        maxLength: 256,
        pattern: '^[!-~]*$',
        default: '',
        description:
          'the name to ask for, printable ASCII without spaces, up to 256 characters; empty: the server as a whole',
      }),
    ),
    host,
    ...common,
  },
  closed,
)

export const checkSchemas = {
  http: httpCheckSchema,
  tcp: tcpCheckSchema,
  grpc: grpcCheckSchema,
} as const

export type CheckBody =
  Static<typeof httpCheckSchema> | Static<typeof tcpCheckSchema> | Static<typeof grpcCheckSchema>

export const maxChecks = 8
