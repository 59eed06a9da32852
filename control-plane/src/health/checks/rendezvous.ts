import { stableHash } from './hash.ts'

/**
 * The owner of a key among the candidates: the one with the highest weight for this key (rendezvous hashing).
 * A candidate that joins or leaves moves only the keys that it gains or loses. Undefined without candidates.
 */
export const rendezvousOwner = (key: string, candidates: readonly string[]): string | undefined => {
  let owner: string | undefined
  let best = -1
  for (const candidate of candidates) {
    const weight = stableHash(key, stableHash(candidate))
    if (weight > best || (weight === best && owner !== undefined && candidate < owner)) {
      owner = candidate
      best = weight
    }
  }
  return owner
}
