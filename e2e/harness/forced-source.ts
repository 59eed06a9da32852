import type {
  ResourceSet,
  ResourceSetChange,
  XdsNode,
  XdsPeer,
  XdsResource,
  XdsSource,
  XdsView,
} from '@waymark/control-plane/xds/port.ts'

/** Puts a resource of the test's own in the place of one that a source serves. */
export class ForcedSource implements XdsSource {
  readonly #source: XdsSource
  readonly #forced = new Map<string, XdsResource>()
  readonly #sets = new Map<ResourceSet, ForcedSet>()
  readonly #listeners = new Set<(revision: number) => void>()

  constructor(source: XdsSource) {
    this.#source = source
  }

  ready(): Promise<void> {
    return this.#source.ready()
  }

  revision(): number {
    return this.#source.revision()
  }

  onRevision(listener: (revision: number) => void): () => void {
    this.#listeners.add(listener)
    const end = this.#source.onRevision(listener)
    return () => {
      this.#listeners.delete(listener)
      end()
    }
  }

  open(node: XdsNode, peer: XdsPeer): XdsView {
    const view = this.#source.open(node, peer)
    return {
      set: typeUrl => {
        const set = view.set(typeUrl)
        return set === undefined ? undefined : this.#wrap(typeUrl, set)
      },
      close: () => {
        view.close()
      },
    }
  }

  /** Serves `body` under the name until `release`; all streams are told at once. */
  force(typeUrl: string, name: string, body: Uint8Array): void {
    const resource = { name, version: `forced-${body.length}`, body, revision: this.revision() }
    this.#forced.set(`${typeUrl} ${name}`, resource)
    this.#tell(name)
  }

  release(typeUrl: string, name: string): void {
    this.#forced.delete(`${typeUrl} ${name}`)
    this.#tell(name)
  }

  #tell(name: string): void {
    const revision = this.revision()
    for (const set of this.#sets.values()) set.notify({ revision, names: [name] })
    for (const listener of this.#listeners) listener(revision)
  }

  #wrap(typeUrl: string, set: ResourceSet): ForcedSet {
    const known = this.#sets.get(set)
    if (known !== undefined) return known
    const wrapped = new ForcedSet(set, name => this.#forced.get(`${typeUrl} ${name}`))
    this.#sets.set(set, wrapped)
    return wrapped
  }
}

class ForcedSet implements ResourceSet {
  readonly #set: ResourceSet
  readonly #forced: (name: string) => XdsResource | undefined
  readonly #listeners = new Set<(change: ResourceSetChange) => void>()

  constructor(set: ResourceSet, forced: (name: string) => XdsResource | undefined) {
    this.#set = set
    this.#forced = forced
  }

  get(name: string): XdsResource | undefined {
    return this.#forced(name) ?? this.#set.get(name)
  }

  names(): Iterable<string> {
    return this.#set.names()
  }

  asked(names: readonly string[]): void {
    this.#set.asked?.(names)
  }

  covers(name: string): boolean {
    return this.#set.covers?.(name) ?? true
  }

  watch(listener: (change: ResourceSetChange) => void): () => void {
    this.#listeners.add(listener)
    const end = this.#set.watch(listener)
    return () => {
      this.#listeners.delete(listener)
      end()
    }
  }

  notify(change: ResourceSetChange): void {
    for (const listener of this.#listeners) listener(change)
  }
}
