import type { Change } from '../../domain/change.ts'
import type { Instance } from '../../domain/instance.ts'
import type { TrafficHold } from '../../domain/traffic-hold.ts'
import type { MeshView } from '../mesh-view.ts'

/** What the evidence by traffic says of an instance; null: it has none. */
export const holdOf = (instance: Instance | null | undefined): TrafficHold | null =>
  instance?.evidence.find(({ source }) => source === 'traffic')?.hold ?? null

const nobody: ReadonlyMap<string, TrafficHold> = new Map()

/** The instances that passive health has to do with at present, by service; follows the mesh. */
export class HeldInstances {
  readonly #mesh: Pick<MeshView, 'instances' | 'onDelta'>
  readonly #onTurn: (instance: Instance) => void
  readonly #services = new Map<string, Map<string, TrafficHold>>()

  /** `onTurn` is called with an instance as it was when it turned into another, by its address or by its hold. */
  constructor(options: {
    readonly mesh: Pick<MeshView, 'instances' | 'onDelta'>
    readonly onTurn: (instance: Instance) => void
  }) {
    this.#mesh = options.mesh
    this.#onTurn = options.onTurn
  }

  /** Returns the call that ends it. */
  follow(): () => void {
    this.#load()
    return this.#mesh.onDelta(({ sets, resynchronised }) => {
      if (resynchronised) this.#load()
      for (const { changes } of sets) for (const change of changes) this.#take(change)
    })
  }

  services(): Iterable<string> {
    return this.#services.keys()
  }

  ofService(service: string): ReadonlyMap<string, TrafficHold> {
    return this.#services.get(service) ?? nobody
  }

  /** How many instances there are in each phase. */
  census(): Record<TrafficHold['phase'], number> {
    const counts = { ejected: 0, trial: 0, readmitted: 0 }
    for (const holds of this.#services.values()) for (const { phase } of holds.values()) counts[phase] += 1
    return counts
  }

  #load(): void {
    this.#services.clear()
    for (const instance of this.#mesh.instances()) {
      const hold = holdOf(instance)
      if (hold !== null) this.#put(instance, hold)
    }
  }

  #take(change: Change): void {
    if (change.aggregateType !== 'instance') return
    const { before, after } = change
    const [was, is] = [holdOf(before), holdOf(after)]
    const subject = after ?? before
    if (subject !== null) this.#put(subject, is)
    if (before === null) return
    const sameTarget =
      after !== null &&
      after.spec.address === before.spec.address &&
      (after.spec.sidecar?.port ?? after.spec.port) === (before.spec.sidecar?.port ?? before.spec.port)
    const sameHold = was?.from === is?.from && was?.phase === is?.phase
    if (!sameTarget || !sameHold || change.type === 'instance.updated') this.#onTurn(before)
  }

  #put({ service, id }: Instance, hold: TrafficHold | null): void {
    const holds = this.#services.get(service)
    if (hold !== null) {
      if (holds === undefined) this.#services.set(service, new Map([[id, hold]]))
      else holds.set(id, hold)
      return
    }
    holds?.delete(id)
    if (holds?.size === 0) this.#services.delete(service)
  }
}
