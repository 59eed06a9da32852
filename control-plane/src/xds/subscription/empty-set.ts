import type { ResourceSet } from '../port.ts'

/** What a type that the source does not serve looks like: every name is answered as absent (X6). */
export const emptySet: ResourceSet = {
  get: () => undefined,
  names: () => [],
  watch: () => () => undefined,
}
