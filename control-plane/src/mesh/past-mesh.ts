import type { FormerState } from '../domain/change.ts'
import { documentKey, type Document } from '../domain/document.ts'
import type { Instance } from '../domain/instance.ts'
import type { Revision } from '../domain/revision.ts'
import { byName, noVerdicts, type MeshView, type ServiceState } from './mesh-view.ts'

/**
 * What was different at one revision: of each aggregate that has changed since, what it was. Grows as time goes on:
 * what has been noted stands, for it is the first change after the revision that counts.
 */
export class Differences {
  /** By service and id; null: there was none. */
  readonly instances = new Map<string, Map<string, Instance | null>>()
  /** By key; null: there was none. */
  readonly documents = new Map<string, Document | null>()
  #size = 0

  /** Aggregates that are not as they were. */
  get size(): number {
    return this.#size
  }

  /** Of changes in the order of the log; later ones of the same aggregate say nothing. */
  add(states: readonly FormerState[]): void {
    for (const state of states) {
      if (state.aggregateType === 'instance')
        this.#addInstance(state.aggregateId, state.before as Instance | null)
      else if (!this.documents.has(state.aggregateId)) {
        this.documents.set(state.aggregateId, state.before as Document | null)
        this.#size += 1
      }
    }
  }

  #addInstance(aggregateId: string, before: Instance | null): void {
    const slash = aggregateId.indexOf('/')
    const service = aggregateId.slice(0, slash)
    const id = aggregateId.slice(slash + 1)
    const ofService = this.instances.get(service) ?? new Map<string, Instance | null>()
    if (ofService.has(id)) return
    this.instances.set(service, ofService.set(id, before))
    this.#size += 1
  }
}

/**
 * The mesh as it was at a revision: the present, except for what has changed since. Costs what has changed, and what
 * is asked for. Holds for the turn of the event loop in which it was made: then the present may have moved on.
 */
export class PastMesh implements MeshView {
  readonly revision: Revision
  readonly #present: MeshView
  readonly #differences: Differences

  /** `differences` must hold all that has changed from `revision` to the present, in the scope that is read. */
  constructor(options: {
    readonly revision: Revision
    readonly present: MeshView
    readonly differences: Differences
  }) {
    this.revision = options.revision
    this.#present = options.present
    this.#differences = options.differences
  }

  service(name: string): ServiceState | undefined {
    const present = this.#present.service(name)
    const former = this.#differences.instances.get(name)
    const document = this.document('Service', name)
    if (former === undefined && document === present?.document) return present
    const instances = new Map(present?.instances)
    for (const [id, instance] of former ?? []) {
      if (instance === null) instances.delete(id)
      else instances.set(id, instance)
    }
    if (instances.size === 0 && document === undefined) return undefined
    const verdicts = noVerdicts()
    for (const { verdict } of instances.values()) verdicts[verdict] += 1
    return { name, instances, verdicts, document }
  }

  services(): ServiceState[] {
    const names = new Set(this.#present.services().map(({ name }) => name))
    for (const name of this.#differences.instances.keys()) names.add(name)
    for (const document of this.#differences.documents.values())
      if (document?.kind === 'Service') names.add(document.name)
    return [...names].flatMap(name => this.service(name) ?? []).sort(byName)
  }

  instance(service: string, id: string): Instance | undefined {
    const former = this.#differences.instances.get(service)?.get(id)
    return former === undefined ? this.#present.instance(service, id) : (former ?? undefined)
  }

  document(kind: string, name: string): Document | undefined {
    const former = this.#differences.documents.get(documentKey(kind, name))
    return former === undefined ? this.#present.document(kind, name) : (former ?? undefined)
  }

  documents(kind?: string): Document[] {
    const documents = new Map(
      this.#present.documents(kind).map(document => [documentKey(document.kind, document.name), document]),
    )
    for (const [key, former] of this.#differences.documents) {
      if (former === null) documents.delete(key)
      else if (kind === undefined || former.kind === kind) documents.set(key, former)
    }
    return [...documents].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, document]) => document)
  }
}
