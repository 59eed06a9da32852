import type { Static } from 'typebox'
import type { Instance } from '../domain/instance.ts'
import type { InstanceFilters } from './schemas/instance.ts'

const metadataPrefix = 'metadata.'

/** Whether an instance fits every filter: `health` (any of several verdicts), `zone`, `version`, `metadata.{key}`. */
export const matchesFilters = (instance: Instance, filters: Static<typeof InstanceFilters>): boolean => {
  const { verdict, spec } = instance
  if (filters.health !== undefined && !filters.health.split(',').includes(verdict)) return false
  if (filters.zone !== undefined && filters.zone !== spec.locality.zone) return false
  if (filters.version !== undefined && filters.version !== spec.version) return false
  return Object.entries(filters).every(([name, value]) => {
    if (!name.startsWith(metadataPrefix)) return true
    const key = name.slice(metadataPrefix.length)
    return Object.hasOwn(spec.metadata, key) && spec.metadata[key] === value
  })
}
