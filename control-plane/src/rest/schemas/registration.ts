import { checkSchemas, maxChecks, type CheckBody } from '@waymark/sidecar-config/model/check-schema.ts'
import { Type, type Static } from 'typebox'
import { closed, DurationText, line, nullable, Port, textRecord } from './common.ts'

/** A schema of its own, not anyOf: by the discriminator an error names the wrong field of the kind meant. */
const Check = Type.Unsafe<CheckBody>({
  type: 'object',
  required: ['kind'],
  discriminator: { propertyName: 'kind' },
  oneOf: Object.values(checkSchemas),
  description: 'a check of kind "http", "tcp" or "grpc"',
})

const Lease = Type.Object(
  {
    ttl: Type.Optional({ ...DurationText, description: 'a duration from 1s to 24h', default: '15s' }),
    deregisterAfter: Type.Optional(
      nullable({
        ...DurationText,
        description: 'a duration from 0s to 720h; null: an expired instance stays',
        default: '10m',
      }),
    ),
  },
  { ...closed, description: 'an object with ttl and deregisterAfter; null: the instance never beats' },
)

const label = {
  maxLength: 63,
  pattern: '^[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,61}[A-Za-z0-9])?$',
  description: 'up to 63 letters, digits, ".", "_", "+" and "-", beginning and ending with a letter or digit',
}

const registration = {
  address: Type.String({
    minLength: 2,
    maxLength: 45,
    description: 'an IP address, version 4 or 6, not unspecified, multicast or broadcast',
  }),
  port: Port,
  version: Type.Optional(nullable(Type.String({ ...label, minLength: 1 }))),
  weight: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 1_000, default: 100, description: 'an integer from 1 to 1000' }),
  ),
  metadata: Type.Optional(
    textRecord({
      key: '^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$',
      value: line('a metadata value', 512),
      maxProperties: 64,
      description:
        'up to 64 keys (1 to 63 letters, digits, ".", "_", "/" and "-", beginning and ending with a letter ' +
        'or digit) with text values of up to 512 characters',
    }),
  ),
  locality: Type.Optional(
    Type.Object(
      { region: Type.Optional(line('a region', 63)), zone: Type.Optional(line('a zone', 63)) },
      { ...closed, description: 'an object with region and zone' },
    ),
  ),
  lease: Type.Optional(nullable(Lease)),
  checks: Type.Optional(Type.Array(Check, { maxItems: maxChecks, description: `up to ${maxChecks} checks` })),
  sidecar: Type.Optional(
    nullable(
      Type.Object(
        {
          port: Type.Optional({
            ...Port,
            default: 15_006,
            description: "the port from 1 to 65535 of the sidecar's inbound listener",
          }),
        },
        { ...closed, description: 'an object with port; null or absent: no sidecar' },
      ),
    ),
  ),
}

/** Shown in the description of the API. */
export const registrationExample = {
  address: '10.0.3.7',
  port: 8080,
  version: 'v2',
  metadata: { team: 'core' },
  locality: { region: 'eu-1', zone: 'eu-1a' },
  lease: { ttl: '15s', deregisterAfter: '10m' },
  checks: [{ kind: 'http', path: '/healthz', interval: '5s', timeout: '1s' }],
  sidecar: { port: 15_006 },
}

export const RegistrationBody = Type.Object(registration, {
  ...closed,
  examples: [registrationExample],
  description: 'a registration: an object of which address and port are required',
})
export type RegistrationBody = Static<typeof RegistrationBody>
export const registrationFields = registration
