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
import { secretType } from './type-urls.ts'

export interface MemoryResource {
  readonly typeUrl: string
  readonly name: string
  readonly body: Uint8Array | null
  /** Absent: a hash of the body. */
  readonly version?: string
  readonly aliases?: readonly string[]
  readonly ttlMs?: number
  readonly dependsOn?: readonly ResourceRef[]
  /** Only for who subscribes to it by name: no wildcard covers it. */
  readonly onDemand?: boolean
  /** Of a secret, in a source with `ownerOf`: whose it is. */
  readonly owner?: string
}

export interface MemoryChange {
  readonly put?: readonly MemoryResource[]
  readonly remove?: readonly (ResourceRef & { readonly owner?: string })[]
  /** Type URL to what responses call the version of the type from now on. */
  readonly versions?: Readonly<Record<string, string>>
}

/**
 * The port of the xDS server over plain maps: every node sees the same, secrets aside. The simplest implementation that keeps
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

  readonly #ownerOf: ((node: XdsNode) => string) | undefined

  /**
   * `loaded: false` holds `ready` back until `load` is called. `ownerOf`: a node sees the secrets of its owner and no
   * others.
   */
  constructor(options: { loaded?: boolean; ownerOf?: (node: XdsNode) => string } = {}) {
    this.#ownerOf = options.ownerOf
    if (options.loaded !== false) this.load()
  }

  /** Watches of its sets that have not ended. */
  get watchers(): number {
    let sum = 0
    for (const { watchers } of this.#sets.values()) sum += watchers
    return sum
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
      set: typeUrl => this.#set(typeUrl, this.#ownerOf?.(node)),
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
  apply({ put = [], remove = [], versions = {} }: MemoryChange): Revision {
    this.#revision += 1
    for (const [typeUrl, version] of Object.entries(versions)) this.#set(typeUrl).version = version
    const changed = new Map<MemorySet, Set<string>>()
    const note = (set: MemorySet, names: readonly string[]): void => {
      changed.set(set, new Set([...(changed.get(set) ?? []), ...names]))
    }
    for (const resource of put) {
      const set = this.#set(resource.typeUrl, resource.owner)
      note(set, set.put(resource, this.#revision))
    }
    for (const { typeUrl, name, owner } of remove) {
      const set = this.#set(typeUrl, owner)
      note(set, set.remove(name))
    }
    for (const [set, names] of changed) {
      if (names.size > 0) set.announce({ revision: this.#revision, names: [...names] })
    }
    for (const listener of this.#listeners) listener(this.#revision)
    return this.#revision
  }

  #set(typeUrl: string, owner?: string): MemorySet {
    const key = typeUrl === secretType && owner !== undefined ? `${typeUrl} of ${owner}` : typeUrl
    const known = this.#sets.get(key)
    if (known !== undefined) return known
    const set = new MemorySet()
    this.#sets.set(key, set)
    return set
  }
}

class MemorySet implements ResourceSet {
  version: string | undefined
  readonly #resources = new Map<string, XdsResource>()
  /** Alias to name. */
  readonly #aliases = new Map<string, string>()
  readonly #onDemand = new Set<string>()
  readonly #watchers = new Set<(change: ResourceSetChange) => void>()

  get watchers(): number {
    return this.#watchers.size
  }

  get(name: string): XdsResource | undefined {
    return this.#resources.get(name) ?? this.#resources.get(this.#aliases.get(name) ?? '')
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

  /** The names under which something changes; none: the resource stays the same object. */
  put(resource: MemoryResource, revision: Revision): string[] {
    const { typeUrl: _, onDemand = false, ...given } = resource
    const { name, aliases = [] } = given
    const version = given.version ?? hashOf(given)
    const known = this.#resources.get(name)
    if (known?.version === version && this.#onDemand.has(name) === onDemand) return []
    const before = this.remove(name)
    this.#resources.set(name, { ...given, version, revision })
    for (const alias of aliases) this.#aliases.set(alias, name)
    if (onDemand) this.#onDemand.add(name)
    return [...before, name, ...aliases]
  }

  /** The names under which it was known. */
  remove(name: string): string[] {
    const known = this.#resources.get(name)
    if (known === undefined) return []
    this.#onDemand.delete(name)
    this.#resources.delete(name)
    const names = [name]
    for (const alias of known.aliases ?? []) {
      if (this.#aliases.get(alias) !== name) continue
      this.#aliases.delete(alias)
      names.push(alias)
    }
    return names
  }

  announce(change: ResourceSetChange): void {
    for (const watcher of [...this.#watchers]) watcher(change)
  }
}

const hashOf = ({ body, aliases = [] }: Pick<MemoryResource, 'body' | 'aliases'>): string =>
  createHash('sha256')
    .update(body ?? 'no body')
    .update(aliases.join('\n'))
    .digest('hex')
    .slice(0, 16)
