import type { ControlPlane } from './control-plane.ts'
import type { Mesh, SampleInstance } from './mesh.ts'
import type { ModeRow, ServiceRow, Snapshot } from './table.ts'

interface ServicesAnswer {
  readonly revision: number
  readonly services: readonly { readonly name: string; readonly verdicts: Readonly<Record<string, number>> }[]
}
interface SidecarsAnswer {
  readonly sidecars: readonly { readonly node: string; readonly state: string; readonly inSync: boolean }[]
}
interface StatusAnswer {
  readonly revision: number
  readonly modes: readonly ModeRow[]
}

export interface ObserverOptions {
  readonly controlPlane: ControlPlane
  /** null: no samples run. */
  readonly mesh: Mesh | null
}

interface Count {
  readonly requests: number
  readonly at: number
}

const orNull = <T>(promise: Promise<T>): Promise<T | null> => promise.catch(() => null)

/** Looks at the mesh from outside: REST for what the control plane knows, each Envoy for the requests it served. */
export class Observer {
  readonly #options: ObserverOptions
  readonly #counts = new Map<string, Count>()
  /** What was last known of each service; shown on while the control plane is away. */
  #services: ServicesAnswer['services'] = []

  constructor(options: ObserverOptions) {
    this.#options = options
  }

  async look(): Promise<Snapshot> {
    const { controlPlane, mesh } = this.#options
    const [services, sidecars, status, rates] = await Promise.all([
      orNull(controlPlane.read<ServicesAnswer>('/api/v1/services')),
      orNull(controlPlane.read<SidecarsAnswer>('/api/v1/sidecars')),
      orNull(controlPlane.read<StatusAnswer>('/api/v1/status')),
      this.#rates(),
    ])
    if (services !== null) this.#services = services.services
    const names = new Set(mesh?.instances.map(({ spec }) => spec.service))
    for (const { name } of this.#services) names.add(name)
    return {
      revision: status?.revision ?? null,
      modes: status?.modes ?? [],
      services: [...names].map((service): ServiceRow => {
        const own =
          sidecars?.sidecars.filter(
            ({ node, state }) => state !== 'disconnected' && node.startsWith(`${service}/`),
          ) ?? null
        const verdicts = this.#services.find(({ name }) => name === service)?.verdicts ?? {}
        return {
          service,
          verdicts: new Map(Object.entries(verdicts).filter(([, count]) => count > 0)),
          sidecars: own && {
            inSync: own.filter(({ inSync }) => inSync).length,
            expected: Math.max(own.length, mesh?.of(service).length ?? 0),
          },
          requestsPerSecond: rates.get(service) ?? null,
        }
      }),
    }
  }

  /** Requests per second that the sidecars of each service let in since the last look. */
  async #rates(): Promise<Map<string, number>> {
    const rates = new Map<string, number>()
    const measured = await Promise.all(
      (this.#options.mesh?.instances ?? []).map(async instance => ({
        service: instance.spec.service,
        rate: await orNull(this.#rate(instance)),
      })),
    )
    for (const { service, rate } of measured)
      if (rate !== null) rates.set(service, (rates.get(service) ?? 0) + rate)
    return rates
  }

  async #rate({ name, sidecar }: SampleInstance): Promise<number | null> {
    if (sidecar.pid === null) return 0
    const stats = await sidecar.admin.stats('^http\\.inbound\\.downstream_rq_total$')
    const now = { requests: [...stats.values()][0] ?? 0, at: performance.now() }
    const before = this.#counts.get(name)
    this.#counts.set(name, now)
    if (before === undefined || now.requests < before.requests) return null
    return ((now.requests - before.requests) * 1_000) / (now.at - before.at)
  }
}
