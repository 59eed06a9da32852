import { Type, type Static } from 'typebox'
import { durationMs } from './duration.ts'
import { booleanField, closed, durationField, integerField } from './schema.ts'

export const passiveHealthSchema = Type.Object(
  {
    enabled: Type.Optional(booleanField('Whether load reports decide about instances.')),
    window: Type.Optional(
      durationField({ min: '5s', max: '1h', description: 'After this a request counts half.' }),
    ),
    failurePercent: Type.Optional(
      integerField({ minimum: 1, maximum: 100, description: 'Share of failed requests that is too much.' }),
    ),
    minRequests: Type.Optional(
      integerField({
        minimum: 1,
        maximum: 1_000_000,
        description: 'With fewer requests nothing is decided.',
      }),
    ),
    minReporters: Type.Optional(
      integerField({ minimum: 2, maximum: 16, description: 'Sidecars that must agree.' }),
    ),
    reporterPercent: Type.Optional(
      integerField({ minimum: 1, maximum: 100, description: 'Of the sidecars that call it, must agree.' }),
    ),
    maxEjectionPercent: Type.Optional(
      integerField({ minimum: 0, maximum: 100, description: 'Of the instances, held at once.' }),
    ),
    baseEjectionTime: Type.Optional(
      durationField({
        min: '1s',
        max: '24h',
        description: 'Length of the first ejection; each next is twice.',
      }),
    ),
    maxEjectionTime: Type.Optional(
      durationField({
        min: '1s',
        max: '24h',
        description: 'The longest ejection; for as long it is remembered.',
      }),
    ),
    trialTime: Type.Optional(
      durationField({ min: '1s', max: '1h', description: 'How long a step of a trial lasts at least.' }),
    ),
    trialRequests: Type.Optional(
      integerField({
        minimum: 1,
        maximum: 1_000_000,
        description: 'Requests that decide a step of a trial.',
      }),
    ),
    trialWeightPercent: Type.Optional(
      integerField({ minimum: 1, maximum: 100, description: 'Of its weight, in the first step of a trial.' }),
    ),
  },
  { ...closed, description: 'When instances are left out for what sidecars report of their calls.' },
)

/** `passiveHealth` of a `Service` as written. */
type PassiveHealthSpec = Static<typeof passiveHealthSchema>

/** What holds for one service; durations in milliseconds. */
export interface PassiveHealth {
  readonly enabled: boolean
  readonly windowMs: number
  readonly failurePercent: number
  readonly minRequests: number
  readonly minReporters: number
  readonly reporterPercent: number
  readonly maxEjectionPercent: number
  readonly baseEjectionMs: number
  /** Never below the base. */
  readonly maxEjectionMs: number
  readonly trialMs: number
  readonly trialRequests: number
  readonly trialWeightPercent: number
}

/** What holds where the document of the service says nothing. docs/reference/documents.md shows these numbers. */
export const defaultPassiveHealth: Required<PassiveHealthSpec> = {
  enabled: true,
  // As long as the interval of reports by default: two reports decide, and one that was odd is soon forgotten.
  window: '30s',
  // Below this an instance does more good than harm, as long as others take its load when it is gone.
  failurePercent: 50,
  minRequests: 10,
  // Fewer callers than this: their majority, but never one alone.
  minReporters: 3,
  // Where most callers get answers, those who do not have the likelier fault.
  reporterPercent: 50,
  // Envoy takes 10. The instances of small services have to be in reach; the others must carry what one leaves.
  maxEjectionPercent: 30,
  baseEjectionTime: '30s',
  maxEjectionTime: '10m',
  // As long as the interval of reports by default: every caller has reported once.
  trialTime: '30s',
  trialRequests: 5,
  trialWeightPercent: 10,
}

export const passiveHealthOf = (spec: PassiveHealthSpec | undefined): PassiveHealth => {
  const whole = { ...defaultPassiveHealth, ...spec }
  const baseEjectionMs = durationMs(whole.baseEjectionTime)
  return {
    enabled: whole.enabled,
    windowMs: durationMs(whole.window),
    failurePercent: whole.failurePercent,
    minRequests: whole.minRequests,
    minReporters: whole.minReporters,
    reporterPercent: whole.reporterPercent,
    maxEjectionPercent: whole.maxEjectionPercent,
    baseEjectionMs,
    maxEjectionMs: Math.max(baseEjectionMs, durationMs(whole.maxEjectionTime)),
    trialMs: durationMs(whole.trialTime),
    trialRequests: whole.trialRequests,
    trialWeightPercent: whole.trialWeightPercent,
  }
}
