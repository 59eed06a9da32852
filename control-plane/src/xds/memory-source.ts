import { createHash } from 'node:crypto'
import type { Revision } from '../domain/revision.ts'
import {
  XdsRefusedError,
  type ResourceRef,
  type ResourceSet,
  type ResourceSetChange,
  type XdsNode,
  type XdsResource,
  type XdsSource,
  type XdsView,
} from './port.ts'

export interface MemoryResource {
  readonly typeUrl: string
  readonly name: string
  readonly body: Uint8Array
  readonly dependsOn?: readonly ResourceRef[]
  /** Only for who subscribes to it by name: no wildcard covers it. */
  readonly onDemand?: boolean
}

export interface MemoryChange {
  readonly put?: readonly MemoryResource[]
  readonly remove?: readonly ResourceRef[]
}

/**
 * The port of the xDS server over plain maps: every node sees the same. The simplest implementation that keeps
 * the contract (`source-contract.ts`), for tests and experiments.
 */
export class MemorySource implements XdsSource {
  readonly #sets = new Map<string, MemorySet>()
  readonly #listeners = new Set<(revision: Revision) => void>()
  readonly #ready = Promise.withResolvers<undefined>()
  #revision: Revision = 0
  /** Node ids that `open` refuses, with the message. */
  readonly refused = new Map<string, string>()
  /** Views that are open now. */
  views = 0

  /** `loaded: false` holds `ready` back until `load` is called. */
  constructor(options: { loaded?: boolean } = {}) {
    if (options.loaded !== false) this.load()
  }

  load(): void {
    this.#ready.resolve(undefined)
  }

  ready(): Promise<void> {
    return this.#ready.promise
  }

  revision(): Revision {
    return this.#revision
  }

  open(node: XdsNode): XdsView {
    const refusal = this.refused.get(node.id)
    if (refusal !== undefined) throw new XdsRefusedError(7, refusal)
    this.views += 1
    return {
      set: typeUrl => this.#set(typeUrl),
      close: () => {
        this.views -= 1
      },
    }
  }

  onRevision(listener: (revision: Revision) => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  /** Makes one revision of these changes, tells all watchers, and returns it. */
  apply({ put = [], remove = [] }: MemoryChange): Revision {
    this.#revision += 1
    const changed = new Map<MemorySet, Set<string>>()
    const note = (set: MemorySet, name: string): void => {
      const names = changed.get(set)
      if (names === undefined) changed.set(set, new Set([name]))
      else names.add(name)
    }
    for (const resource of put) {
      const set = this.#set(resource.typeUrl)
      if (set.put(resource, this.#revision)) note(set, resource.name)
    }
    for (const { typeUrl, name } of remove) {
      const set = this.#set(typeUrl)
      if (set.remove(name)) note(set, name)
    }
    for (const [set, names] of changed) set.announce({ revision: this.#revision, names: [...names] })
    for (const listener of this.#listeners) listener(this.#revision)
    return this.#revision
  }

  #set(typeUrl: string): MemorySet {
    const known = this.#sets.get(typeUrl)
    if (known !== undefined) return known
    const set = new MemorySet()
    this.#sets.set(typeUrl, set)
    return set
  }
}

class MemorySet implements ResourceSet {
  readonly #resources = new Map<string, XdsResource>()
  readonly #onDemand = new Set<string>()
  readonly #watchers = new Set<(change: ResourceSetChange) => void>()

  get(name: string): XdsResource | undefined {
    return this.#resources.get(name)
  }

  *names(): Iterable<string> {
    for (const name of this.#resources.keys()) if (!this.#onDemand.has(name)) yield name
  }

  covers(name: string): boolean {
    return this.#resources.has(name) && !this.#onDemand.has(name)
  }

  watch(listener: (change: ResourceSetChange) => void): () => void {
    this.#watchers.add(listener)
    return () => {
      this.#watchers.delete(listener)
    }
  }

  /** False when nothing changes: the resource stays the same object. */
  put({ name, body, dependsOn, onDemand = false }: MemoryResource, revision: Revision): boolean {
    const version = createHash('sha256').update(body).digest('hex').slice(0, 16)
    const known = this.#resources.get(name)
    if (known?.version === version && this.#onDemand.has(name) === onDemand) return false
    this.#resources.set(name, {
      name,
      version,
      body,
      revision,
      ...(dependsOn === undefined ? {} : { dependsOn }),
    })
    if (onDemand) this.#onDemand.add(name)
    else this.#onDemand.delete(name)
    return true
  }

  remove(name: string): boolean {
    this.#onDemand.delete(name)
    return this.#resources.delete(name)
  }

  announce(change: ResourceSetChange): void {
    for (const watcher of [...this.#watchers]) watcher(change)
  }
}
