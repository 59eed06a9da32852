import type { FieldSource } from '@waymark/sidecar-config/model/effective-policy.ts'
import type { TrafficSettings } from '@waymark/sidecar-config/model/traffic-settings.ts'
import { Type, type Static } from 'typebox'
import { closed, define, RevisionNumber, ServiceName } from './common.ts'
import { stateQuery } from './read.ts'

export const EffectiveQuery = Type.Object(
  { ...stateQuery, destination: ServiceName, caller: Type.Optional(ServiceName) },
  closed,
)

const Source = Type.Unsafe<FieldSource>({
  type: 'object',
  properties: {
    level: { type: 'string', enum: ['caller', 'destination', 'default'] },
    document: { type: 'string', description: 'the TrafficPolicy that says so; absent for a default' },
  },
  required: ['level'],
  additionalProperties: false,
})

const EffectivePolicySchema = define(
  'EffectivePolicy',
  Type.Object(
    {
      revision: RevisionNumber,
      caller: Type.Unsafe<string | null>({
        type: ['string', 'null'],
        description: 'null: a caller without policies of its own',
      }),
      destination: ServiceName,
      settings: Type.Unsafe<TrafficSettings>({
        type: 'object',
        description: 'the fields of a TrafficPolicy, complete',
      }),
      sources: Type.Record(Type.String(), Source, {
        description: 'by field (timeouts.connect): where its value comes from',
      }),
    },
    closed,
  ),
)
export type EffectivePolicyView = Static<typeof EffectivePolicySchema.schema>
export const EffectivePolicy = EffectivePolicySchema.ref

export const namedEffectiveSchemas = [EffectivePolicySchema]
