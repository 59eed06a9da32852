/** Which services, instances and sidecars a benchmark has: the same in every process that asks. */

/** Numbers from 0 to 1 that depend on the seed alone (mulberry32). */
export const seededRandom = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const serviceName = (index: number): string => `svc-${index}`

export interface MeshSize {
  readonly services: number
  /** Spread evenly over the services. */
  readonly instances: number
}

/** The instance with this number, 0 to `instances` - 1. */
export const instanceAt = (index: number, { services }: Pick<MeshSize, 'services'>) => ({
  service: serviceName(index % services),
  id: `i-${index}`,
  address: `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`,
})

export interface UpstreamChoice {
  readonly services: number
  /** Different ones for each sidecar. */
  readonly upstreams: number
}

/**
 * Draws the upstreams of sidecars after Zipf (exponent 1): the first services are called by nearly all, most of
 * them by few.
 */
export class ZipfUpstreams {
  readonly #choice: UpstreamChoice
  readonly #cumulative: Float64Array

  constructor(choice: UpstreamChoice) {
    this.#choice = choice
    this.#cumulative = new Float64Array(choice.services)
    let sum = 0
    for (let rank = 0; rank < choice.services; rank += 1) {
      sum += 1 / (rank + 1)
      this.#cumulative[rank] = sum
    }
  }

  /** The same for the same sidecar, whoever asks. */
  of(sidecar: number): readonly string[] {
    const { services, upstreams } = this.#choice
    const random = seededRandom(sidecar * 2_654_435_761 + 1)
    const total = this.#cumulative[services - 1] ?? 0
    const chosen = new Set<number>()
    while (chosen.size < Math.min(upstreams, services)) chosen.add(this.#rank(random() * total))
    return [...chosen].map(serviceName)
  }

  #rank(point: number): number {
    let low = 0
    let high = this.#choice.services - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#cumulative[middle] ?? 0) < point) low = middle + 1
      else high = middle
    }
    return low
  }
}
