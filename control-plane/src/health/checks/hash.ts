/**
 * A 32-bit hash of a string, equal on every replica and in every process: FNV-1a over UTF-16 code units with a
 * final avalanche (the finalizer of MurmurHash3), because FNV's low bits alone are too regular to rank by.
 * For spreading load; not for anything an attacker could gain from.
 */
export const stableHash = (text: string, seed = 0): number => {
  let hash = (0x811c9dc5 ^ seed) >>> 0
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
