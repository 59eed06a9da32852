import type { Batch } from './batch.ts'
import type { XdsResource } from '../port.ts'

/** An entry's share of a response besides its body: tags, lengths, version and type URL. */
const entryOverhead = 128

/** A response of one type that is being put together. */
export class BatchDraft {
  readonly resources: XdsResource[] = []
  readonly removed: string[] = []
  readonly #maxBytes: number
  #bytes = 0

  /** `maxBytes`: aimed at; a single larger resource still goes, alone. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get empty(): boolean {
    return this.resources.length === 0 && this.removed.length === 0
  }

  /** X17: no name twice in a response. In time that grows with the response, so for aliases only. */
  has(name: string, resource: XdsResource | undefined): boolean {
    return resource === undefined ? this.removed.includes(name) : this.resources.includes(resource)
  }

  batch(of: Pick<Batch, 'typeUrl' | 'version' | 'revision'>): Batch {
    return { ...of, resources: this.resources, removed: this.removed, takesBack: false }
  }

  /** False when it does not fit any more. `resource` undefined: the name is removed. */
  add(name: string, resource: XdsResource | undefined): boolean {
    const size = entryOverhead + name.length + (resource?.body?.length ?? 0)
    if (this.#bytes > 0 && this.#bytes + size > this.#maxBytes) return false
    this.#bytes += size
    if (resource === undefined) this.removed.push(name)
    else this.resources.push(resource)
    return true
  }
}
