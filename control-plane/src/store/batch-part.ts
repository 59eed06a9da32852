import type { Change, ChangeSet } from '../domain/change.ts'
import type { Document } from '../domain/document.ts'
import type { Instance } from '../domain/instance.ts'
import type { LeaseRow } from './write.ts'

/** What writes have done. */
export interface BatchState {
  /** null: removed. A key that was never touched is absent. */
  readonly instances: Map<string, Instance | null>
  readonly documents: Map<string, Document | null>
  readonly beats: Map<string, Instance>
  readonly sets: ChangeSet[]
}

/** As writes find them. */
export interface BatchRows {
  readonly instances: Map<string, Instance>
  readonly documents: Map<string, Document>
  readonly leases: Map<string, LeaseRow>
}

/** What the row of an instance is to be. */
export interface InstanceRow {
  readonly instance: Instance
  /** It has no row yet. */
  readonly fresh: boolean
}

/** What some writes, one after the other, have made of their rows: each row once, as the last of them left it. */
export class BatchPart {
  readonly #state: BatchState
  /** Instances that have no lease any more. */
  readonly endedLeases: readonly string[]
  /** Of the instances, those that have a row already. */
  readonly #standing: ReadonlySet<string>

  constructor(state: BatchState, rows: BatchRows, endedLeases: readonly string[]) {
    this.#state = state
    this.endedLeases = endedLeases
    this.#standing = new Set([...state.instances.keys()].filter(key => rows.instances.has(key)))
  }

  get sets(): readonly ChangeSet[] {
    return this.#state.sets
  }

  get savedInstances(): Instance[] {
    return [...this.#state.instances.values()].filter(instance => instance !== null)
  }

  /** Instances whose row is not what a change of the log says: it does not carry incarnations. */
  get amendedInstances(): Instance[] {
    const changed = new Set(this.sets.flatMap(set => set.changes.map(({ after }) => after)))
    return this.savedInstances.filter(instance => !changed.has(instance))
  }

  /** The row that this change makes; null: it makes none, or something later in the part touched it. */
  rowOf(change: Change): InstanceRow | null {
    if (change.aggregateType !== 'instance' || change.after === null) return null
    const { aggregateId, after: instance } = change
    if (this.#state.instances.get(aggregateId) !== instance) return null
    return { instance, fresh: !this.#standing.has(aggregateId) }
  }

  get removedInstances(): string[] {
    return [...this.#state.instances].filter(([, instance]) => instance === null).map(([key]) => key)
  }

  get savedDocuments(): Document[] {
    return [...this.#state.documents.values()].filter(document => document !== null)
  }

  get removedDocuments(): string[] {
    return [...this.#state.documents].filter(([, document]) => document === null).map(([key]) => key)
  }

  get beats(): Instance[] {
    return [...this.#state.beats.values()]
  }

  get empty(): boolean {
    const { instances, documents, beats } = this.#state
    return instances.size === 0 && documents.size === 0 && beats.size === 0
  }
}
