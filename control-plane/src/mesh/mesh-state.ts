import type { Change, ChangeSet } from '../domain/change.ts'
import { documentKey, type Document } from '../domain/document.ts'
import type { Instance } from '../domain/instance.ts'
import type { Revision } from '../domain/revision.ts'
import type { MeshSnapshot } from '../domain/snapshot.ts'
import type { Verdict } from '../domain/verdict.ts'
import { byName, noVerdicts, type MeshView, type ServiceState } from './mesh-view.ts'

/** What a step of the feed touched. */
export interface MeshDelta {
  readonly revision: Revision
  /** Empty after a resynchronisation from a snapshot: then everything may have changed. */
  readonly sets: readonly ChangeSet[]
  readonly resynchronised: boolean
  /** The log has lost its end, or may have: what followers saw of it last may never have been. */
  readonly rewritten: boolean
}

/** What those need of a mesh who follow it. */
export interface FollowedMesh extends MeshView {
  /** It has been read; before, it is empty. */
  readonly loaded: boolean
  serviceNames(): Iterable<string>
  onDelta(listener: (delta: MeshDelta) => void): () => void
}

interface MutableService {
  name: string
  instances: Map<string, Instance>
  verdicts: Record<Verdict, number>
  document: Document | undefined
}

/**
 * A replica's in-memory view of the mesh, built from the feed. All reads are from memory and cost what they
 * return. Listeners are called in order of registration, once per step of the feed, after the step is
 * complete: none sees half a write.
 */
export class MeshState implements FollowedMesh {
  #revision: Revision = 0
  #loaded = false
  #services = new Map<string, MutableService>()
  #documents = new Map<string, Document>()
  #census = noVerdicts()
  readonly #listeners = new Set<(delta: MeshDelta) => void>()

  get revision(): Revision {
    return this.#revision
  }

  get loaded(): boolean {
    return this.#loaded
  }

  service(name: string): ServiceState | undefined {
    return this.#services.get(name)
  }

  /** In order of their names. */
  services(): ServiceState[] {
    return [...this.#services.values()].sort(byName)
  }

  serviceNames(): Iterable<string> {
    return this.#services.keys()
  }

  instance(service: string, id: string): Instance | undefined {
    return this.#services.get(service)?.instances.get(id)
  }

  /** Every instance, service by service, in no particular order. */
  *instances(): Generator<Instance> {
    for (const service of this.#services.values()) yield* service.instances.values()
  }

  /** How many services there are, and how many instances of each verdict; counted while changes are applied. */
  census(): { readonly services: number; readonly instances: Readonly<Record<Verdict, number>> } {
    return { services: this.#services.size, instances: { ...this.#census } }
  }

  document(kind: string, name: string): Document | undefined {
    return this.#documents.get(documentKey(kind, name))
  }

  /** In order of kind and name. */
  documents(kind?: string): Document[] {
    return [...this.#documents.values()]
      .filter(document => kind === undefined || document.kind === kind)
      .sort((a, b) => (documentKey(a.kind, a.name) < documentKey(b.kind, b.name) ? -1 : 1))
  }

  /** Returns the call that ends it. */
  onDelta(listener: (delta: MeshDelta) => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  /** Replaces everything; called at the start, and when the feed has fallen behind retention or the log was rewritten. */
  load(snapshot: MeshSnapshot, rewritten = false): void {
    this.#services = new Map()
    this.#documents = new Map()
    this.#census = noVerdicts()
    for (const instance of snapshot.instances) {
      const service = this.#open(instance.service)
      this.#count(service, instance, 1)
      service.instances.set(instance.id, instance)
    }
    for (const document of snapshot.documents) {
      this.#documents.set(documentKey(document.kind, document.name), document)
      if (document.kind === 'Service') this.#open(document.name).document = document
    }
    this.#revision = snapshot.revision
    this.#loaded = true
    this.#emit({ revision: snapshot.revision, sets: [], resynchronised: true, rewritten })
  }

  /** Applies whole revisions in order; the first must follow the current one. */
  apply(sets: readonly ChangeSet[]): void {
    const last = sets.at(-1)
    if (last === undefined) return
    for (const set of sets) {
      if (set.revision !== this.#revision + 1) {
        throw new Error(`the feed skipped from revision ${this.#revision} to ${set.revision}`)
      }
      for (const change of set.changes) this.#change(change)
      this.#revision = set.revision
    }
    this.#emit({ revision: last.revision, sets, resynchronised: false, rewritten: false })
  }

  /** The state as plain data, sorted: two replicas at one revision give equal snapshots. */
  snapshot(): MeshSnapshot {
    const instances = [...this.instances()].sort((a, b) =>
      a.service === b.service ? (a.id < b.id ? -1 : 1) : a.service < b.service ? -1 : 1,
    )
    return { revision: this.#revision, instances, documents: this.documents() }
  }

  #change(change: Change): void {
    if (change.aggregateType === 'instance') {
      const subject = change.after ?? change.before
      if (subject === null) return
      if (change.after !== null) this.#put(change.after)
      else this.#remove(subject)
      return
    }
    const subject = change.after ?? change.before
    if (subject === null) return
    if (change.after !== null) this.#documents.set(change.aggregateId, change.after)
    else this.#documents.delete(change.aggregateId)
    if (subject.kind !== 'Service') return
    if (change.after !== null) {
      this.#open(subject.name).document = change.after
    } else {
      const service = this.#services.get(subject.name)
      if (service !== undefined) service.document = undefined
      this.#closeIfEmpty(subject.name)
    }
  }

  #put(instance: Instance): void {
    const service = this.#open(instance.service)
    this.#count(service, service.instances.get(instance.id), -1)
    this.#count(service, instance, 1)
    service.instances.set(instance.id, instance)
  }

  #remove({ service, id }: Pick<Instance, 'service' | 'id'>): void {
    const state = this.#services.get(service)
    if (state === undefined) return
    this.#count(state, state.instances.get(id), -1)
    state.instances.delete(id)
    this.#closeIfEmpty(service)
  }

  #count({ verdicts }: MutableService, instance: Instance | undefined, by: 1 | -1): void {
    if (instance === undefined) return
    this.#census[instance.verdict] += by
    verdicts[instance.verdict] += by
  }

  #open(name: string): MutableService {
    let service = this.#services.get(name)
    if (service === undefined) {
      service = { name, instances: new Map(), verdicts: noVerdicts(), document: undefined }
      this.#services.set(name, service)
    }
    return service
  }

  #closeIfEmpty(name: string): void {
    const service = this.#services.get(name)
    if (service?.instances.size === 0 && service.document === undefined) this.#services.delete(name)
  }

  #emit(delta: MeshDelta): void {
    for (const listener of this.#listeners) listener(delta)
  }
}
