import type { Document } from '../domain/document.ts'
import type { Instance } from '../domain/instance.ts'
import type { Revision } from '../domain/revision.ts'
import type { FollowedMesh } from './mesh-state.ts'
import type { MeshView, ServiceState } from './mesh-view.ts'

/**
 * A past state for those who follow a mesh: it never moves. A view of the past holds for one turn of the event loop; work
 * that takes several gives it a view of the same state at the beginning of each.
 */
export class StandingMesh implements FollowedMesh {
  readonly loaded = true
  #view: MeshView

  constructor(view: MeshView) {
    this.#view = view
  }

  show(view: MeshView): void {
    this.#view = view
  }

  get revision(): Revision {
    return this.#view.revision
  }

  service(name: string): ServiceState | undefined {
    return this.#view.service(name)
  }

  services(): ServiceState[] {
    return this.#view.services()
  }

  serviceNames(): Iterable<string> {
    return this.services().map(({ name }) => name)
  }

  instance(service: string, id: string): Instance | undefined {
    return this.#view.instance(service, id)
  }

  document(kind: string, name: string): Document | undefined {
    return this.#view.document(kind, name)
  }

  documents(kind?: string): Document[] {
    return this.#view.documents(kind)
  }

  onDelta(): () => void {
    return () => undefined
  }
}
