/** Precedence: caller-specific policy > destination policy > built-in default, field by field. */
import { defaultTrafficSettings } from './defaults.ts'
import type { TrafficPolicySpec } from './traffic-policy.ts'
import type { TrafficSettings } from './traffic-settings.ts'

export interface TrafficPolicyDocument {
  readonly name: string
  readonly spec: TrafficPolicySpec
}

/** Where the value of a field comes from. */
export type FieldSource =
  { readonly level: 'caller' | 'destination'; readonly document: string } | { readonly level: 'default' }

export interface EffectivePolicy {
  readonly settings: TrafficSettings
  /** By field: `timeouts.connect`, `loadBalancing`. */
  readonly sources: Readonly<Record<string, FieldSource>>
}

export interface PolicyQuery {
  readonly caller: string | null
  readonly destination: string
  /** Any policies; those for others are skipped. */
  readonly documents: Iterable<TrafficPolicyDocument>
}

interface Layer {
  readonly source: FieldSource
  readonly spec: Omit<TrafficPolicySpec, 'destination' | 'caller'>
}

const byName = (a: TrafficPolicyDocument, b: TrafficPolicyDocument) =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : 0

/** Narrowest first; of two policies for the same calls, the one whose name comes first. */
const layersOf = ({ caller, destination, documents }: PolicyQuery): readonly Layer[] => {
  const matching = [...documents].filter(({ spec }) => spec.destination === destination).sort(byName)
  const layer = (level: 'caller' | 'destination') => (document: TrafficPolicyDocument) => ({
    source: { level, document: document.name },
    spec: document.spec,
  })
  return [
    ...matching
      .filter(({ spec }) => spec.caller !== undefined && spec.caller === caller)
      .map(layer('caller')),
    ...matching.filter(({ spec }) => spec.caller === undefined).map(layer('destination')),
  ]
}

/**
 * The settings for calls from `caller` (null: of nobody in particular) to `destination`, and the source of each
 * field. The same documents in any order give the same result.
 */
export const effectivePolicy = (query: PolicyQuery): EffectivePolicy => {
  const layers = layersOf(query)
  const sources: Record<string, FieldSource> = {}

  const field = <Value>(path: string, fallback: Value, read: (spec: Layer['spec']) => Value | undefined) => {
    for (const { source, spec } of layers) {
      const value = read(spec)
      if (value === undefined) continue
      sources[path] = source
      return value
    }
    sources[path] = { level: 'default' }
    return fallback
  }
  const group = <Fields extends object>(
    name: string,
    defaults: Fields,
    read: (spec: Layer['spec']) => Partial<Fields> | undefined,
  ): Fields => {
    const merged = { ...defaults }
    for (const key of Object.keys(defaults) as (keyof Fields & string)[])
      merged[key] = field<Fields[typeof key]>(`${name}.${key}`, defaults[key], spec => read(spec)?.[key])
    return merged
  }

  const base = defaultTrafficSettings
  const settings: TrafficSettings = {
    timeouts: group('timeouts', base.timeouts, spec => spec.timeouts),
    retries: group('retries', base.retries, spec => spec.retries),
    connectionLimits: group('connectionLimits', base.connectionLimits, spec => spec.connectionLimits),
    outlierDetection: group('outlierDetection', base.outlierDetection, spec => spec.outlierDetection),
    // Options of one policy make no sense with another, so the object is one field.
    loadBalancing: field('loadBalancing', base.loadBalancing, spec => spec.loadBalancing),
    panicThreshold: field('panicThreshold', base.panicThreshold, spec => spec.panicThreshold),
  }
  return { settings, sources }
}
