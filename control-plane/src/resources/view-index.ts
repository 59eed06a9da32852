interface ViewKeys {
  /** `{service}/{instance}` that the sidecar fronts. */
  readonly instance: string
  /** The services that it calls; null: every service. */
  readonly upstreams: readonly string[] | null
}

/** Finds open views by what touches them, without looking at the others. */
export class ViewIndex<V> {
  readonly #byInstance = new Map<string, Set<V>>()
  readonly #byUpstream = new Map<string, Set<V>>()
  readonly #callingAll = new Set<V>()

  /** Returns the call that removes the view. */
  add(view: V, { instance, upstreams }: ViewKeys): () => void {
    insert(this.#byInstance, instance, view)
    if (upstreams === null) this.#callingAll.add(view)
    for (const upstream of upstreams ?? []) insert(this.#byUpstream, upstream, view)
    return () => {
      remove(this.#byInstance, instance, view)
      this.#callingAll.delete(view)
      for (const upstream of upstreams ?? []) remove(this.#byUpstream, upstream, view)
    }
  }

  instances(): Iterable<string> {
    return this.#byInstance.keys()
  }

  ofInstance(instance: string): Iterable<V> {
    return this.#byInstance.get(instance) ?? []
  }

  /** Every view that calls one of the services, with those of them that it calls. */
  calling(services: ReadonlySet<string>): Map<V, string[]> {
    const found = new Map<V, string[]>()
    if (services.size === 0) return found
    for (const view of this.#callingAll) found.set(view, [...services])
    for (const service of services) {
      for (const view of this.#byUpstream.get(service) ?? []) {
        const names = found.get(view)
        if (names === undefined) found.set(view, [service])
        else names.push(service)
      }
    }
    return found
  }
}

const insert = <V>(index: Map<string, Set<V>>, key: string, view: V): void => {
  const views = index.get(key)
  if (views === undefined) index.set(key, new Set([view]))
  else views.add(view)
}

const remove = <V>(index: Map<string, Set<V>>, key: string, view: V): void => {
  const views = index.get(key)
  views?.delete(view)
  if (views?.size === 0) index.delete(key)
}
