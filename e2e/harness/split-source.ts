import type { MemorySource } from '@waymark/control-plane/xds/memory-source.ts'
import {
  XdsRefusedError,
  type XdsNode,
  type XdsSource,
  type XdsView,
} from '@waymark/control-plane/xds/port.ts'

/** A source in which each service has resources of its own. */
export class SplitSource implements XdsSource {
  readonly #sources: ReadonlyMap<string, MemorySource>

  constructor(sources: Readonly<Record<string, MemorySource>>) {
    this.#sources = new Map(Object.entries(sources))
  }

  async ready(): Promise<void> {
    await Promise.all([...this.#sources.values()].map(source => source.ready()))
  }

  revision(): number {
    return Math.max(...[...this.#sources.values()].map(source => source.revision()))
  }

  onRevision(listener: (revision: number) => void): () => void {
    const ends = [...this.#sources.values()].map(source => source.onRevision(listener))
    return () => {
      for (const end of ends) end()
    }
  }

  open(node: XdsNode): XdsView {
    const source = this.#sources.get(node.cluster)
    if (source === undefined) throw new XdsRefusedError(7, `there is nothing for ${node.cluster}`)
    return source.open(node)
  }
}
