import { documentKey, type Document } from '../../src/domain/document.ts'
import { instanceKey, type Instance } from '../../src/domain/instance.ts'
import { MeshState } from '../../src/mesh/mesh-state.ts'
import { Registry } from '../../src/registry/registry.ts'
import { Batch } from '../../src/store/batch.ts'
import type { Committed, Settled, Write } from '../../src/store/write.ts'

/**
 * The registry's decisions applied straight to a mesh state, for tests of what lies above: the same pure Batch
 * that the sequencer commits, without the database around it.
 */
export class PureMesh {
  readonly mesh = new MeshState()
  readonly registry = new Registry(this)
  readonly #instances = new Map<string, Instance>()
  readonly #documents = new Map<string, Document>()
  #incarnation = 0
  /** Postgres time for the writes. */
  now = Date.parse('2026-01-01T00:00:00Z')

  constructor() {
    this.mesh.load({ revision: 0, instances: [], documents: [] })
  }

  async submit<R>(write: Write<R>): Promise<Committed<R>> {
    const batch = new Batch({
      revision: this.mesh.revision,
      incarnation: this.#incarnation,
      now: this.now,
      instances: [...this.#instances.values()],
      leases: new Map(),
      documents: [...this.#documents.values()],
    })
    const committed = batch.run(write)
    this.#incarnation = batch.incarnation
    const part = batch.cut()
    for (const key of part.removedInstances) this.#instances.delete(key)
    for (const instance of part.savedInstances) {
      this.#instances.set(instanceKey(instance.service, instance.id), instance)
    }
    for (const key of part.removedDocuments) this.#documents.delete(key)
    for (const document of part.savedDocuments) {
      this.#documents.set(documentKey(document.kind, document.name), document)
    }
    this.mesh.apply(batch.sets)
    return Promise.resolve(committed)
  }

  submitAll<R>(writes: readonly Write<R>[]): Promise<readonly Settled<R>[]> {
    return Promise.all(
      writes.map(write =>
        this.submit(write).then(
          committed => ({ committed }),
          (error: unknown) => ({ error: error as Error }),
        ),
      ),
    )
  }
}
