import type { Change, ChangeSet, DocumentChangeType, InstanceChangeType } from '../domain/change.ts'
import { documentKey, type Document } from '../domain/document.ts'
import { instanceKey, type Instance } from '../domain/instance.ts'
import { ChangeIds } from './change-ids.ts'
import type { Draft, LeaseRow, Write } from './write.ts'

/** What the read step of a batch found. */
export interface BatchInput {
  readonly revision: number
  readonly incarnation: number
  readonly now: number
  readonly instances: readonly Instance[]
  readonly leases: ReadonlyMap<string, LeaseRow>
  readonly documents: readonly Document[]
}

interface State {
  revision: number
  incarnation: number
  /** null: removed. A key that was never touched is absent. */
  instances: Map<string, Instance | null>
  documents: Map<string, Document | null>
  beats: Map<string, Instance>
  sets: ChangeSet[]
}

/**
 * The writes of one transaction, applied one after the other to the rows that were read. Pure but for the
 * change ids. A write that refuses leaves no trace; the next one sees what the ones before it did.
 */
export class Batch {
  readonly #input: BatchInput
  readonly #ids: ChangeIds
  readonly #before = new Map<string, Instance>()
  readonly #documentsBefore = new Map<string, Document>()
  #state: State

  /** `ids`: of the changes; a sequencer has one for all its batches. */
  constructor(input: BatchInput, ids = new ChangeIds()) {
    this.#input = input
    this.#ids = ids
    for (const instance of input.instances)
      this.#before.set(instanceKey(instance.service, instance.id), instance)
    for (const document of input.documents) {
      this.#documentsBefore.set(documentKey(document.kind, document.name), document)
    }
    this.#state = {
      revision: input.revision,
      incarnation: input.incarnation,
      instances: new Map(),
      documents: new Map(),
      beats: new Map(),
      sets: [],
    }
  }

  get revision(): number {
    return this.#state.revision
  }

  get incarnation(): number {
    return this.#state.incarnation
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

  /** Whether the row of an instance is to be what this change says: nothing later in the batch touched it. */
  stands({ aggregateType, aggregateId, after }: Change): boolean {
    return aggregateType === 'instance' && after !== null && this.#state.instances.get(aggregateId) === after
  }

  /** Instances that have no lease any more. */
  get endedLeases(): string[] {
    return [...this.#state.instances]
      .filter(([key, instance]) => {
        if (instance === null) return true
        if (instance.spec.lease !== null) return false
        return this.#input.leases.has(key) || this.#before.get(key)?.spec.lease
      })
      .map(([key]) => key)
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

  /** True when there is nothing to write to the database. */
  get empty(): boolean {
    const { instances, documents, beats, incarnation } = this.#state
    const nothing = instances.size === 0 && documents.size === 0 && beats.size === 0
    return nothing && incarnation === this.#input.incarnation
  }

  /** Runs one write. Throws what it throws, having changed nothing. */
  run<R>(write: Write<R>): { result: R; revision: number; changed: boolean } {
    const state = this.#state
    const draft = new WriteDraft({
      input: this.#input,
      ids: this.#ids,
      state,
      write,
      instances: this.#before,
      documents: this.#documentsBefore,
    })
    const result = write.decide(draft)
    const changed = draft.changes.length > 0
    if (changed) state.sets.push({ revision: draft.revision, changes: draft.changes })
    for (const [key, instance] of draft.instances) {
      state.instances.set(key, instance)
      if (instance === null) state.beats.delete(key)
    }
    for (const [key, document] of draft.documents) state.documents.set(key, document)
    for (const [key, instance] of draft.beats) state.beats.set(key, instance)
    state.incarnation = draft.incarnation
    if (changed) state.revision = draft.revision
    return { result, revision: state.revision, changed }
  }
}

interface DraftContext {
  readonly input: BatchInput
  readonly ids: ChangeIds
  readonly state: State
  readonly write: Write<unknown>
  /** As they were before the batch. */
  readonly instances: ReadonlyMap<string, Instance>
  readonly documents: ReadonlyMap<string, Document>
}

/** The overlay of one write over the state of its batch. */
class WriteDraft implements Draft {
  readonly now: number
  readonly revision: number
  readonly changes: Change[] = []
  readonly instances = new Map<string, Instance | null>()
  readonly documents = new Map<string, Document | null>()
  readonly beats = new Map<string, Instance>()
  incarnation: number
  readonly #input: BatchInput
  readonly #ids: ChangeIds
  readonly #state: State
  readonly #write: Write<unknown>
  readonly #before: Pick<DraftContext, 'instances' | 'documents'>

  constructor({ input, ids, state, write, ...before }: DraftContext) {
    this.now = input.now
    this.revision = state.revision + 1
    this.incarnation = state.incarnation
    this.#input = input
    this.#ids = ids
    this.#state = state
    this.#write = write
    this.#before = before
  }

  instance(service: string, id: string): Instance | undefined {
    const key = instanceKey(service, id)
    const own = this.instances.get(key)
    if (own !== undefined) return own ?? undefined
    const batch = this.#state.instances.get(key)
    if (batch !== undefined) return batch ?? undefined
    return this.#before.instances.get(key)
  }

  lease(service: string, id: string): LeaseRow | undefined {
    const key = instanceKey(service, id)
    const beat = this.beats.get(key) ?? this.#state.beats.get(key)
    if (beat?.spec.lease) {
      return { incarnation: beat.incarnation, ttlMs: beat.spec.lease.ttlMs, seenAt: this.now }
    }
    return this.#input.leases.get(key)
  }

  document(kind: string, name: string): Document | undefined {
    const key = documentKey(kind, name)
    const own = this.documents.get(key)
    if (own !== undefined) return own ?? undefined
    const batch = this.#state.documents.get(key)
    if (batch !== undefined) return batch ?? undefined
    return this.#before.documents.get(key)
  }

  nextIncarnation(): number {
    this.incarnation += 1
    return this.incarnation
  }

  putInstance(instance: Instance, type: InstanceChangeType): Instance {
    const after = { ...instance, revision: this.revision }
    this.#changeInstance(this.instance(instance.service, instance.id) ?? null, after, type)
    return after
  }

  amendInstance(instance: Instance): void {
    this.instances.set(instanceKey(instance.service, instance.id), instance)
  }

  removeInstance(instance: Instance): void {
    this.#changeInstance(instance, null, 'instance.deregistered')
  }

  beat(instance: Instance): void {
    if (instance.spec.lease !== null) this.beats.set(instanceKey(instance.service, instance.id), instance)
  }

  putDocument(document: Document, type: DocumentChangeType): Document {
    const after = { ...document, revision: this.revision }
    this.#changeDocument(this.document(document.kind, document.name) ?? null, after, type)
    return after
  }

  removeDocument(document: Document): void {
    this.#changeDocument(document, null, 'document.deleted')
  }

  #changeInstance(before: Instance | null, after: Instance | null, type: InstanceChangeType): void {
    const subject = after ?? before
    if (subject === null) return
    const key = instanceKey(subject.service, subject.id)
    this.instances.set(key, after)
    if (after === null) this.beats.delete(key)
    this.changes.push({ ...this.#meta(), aggregateType: 'instance', aggregateId: key, type, before, after })
  }

  #changeDocument(before: Document | null, after: Document | null, type: DocumentChangeType): void {
    const subject = after ?? before
    if (subject === null) return
    const key = documentKey(subject.kind, subject.name)
    this.documents.set(key, after)
    this.changes.push({ ...this.#meta(), aggregateType: 'document', aggregateId: key, type, before, after })
  }

  #meta() {
    return {
      id: this.#ids.next(),
      revision: this.revision,
      position: this.changes.length,
      occurredAt: new Date(this.now).toISOString(),
      actor: this.#write.actor,
      traceparent: this.#write.traceparent,
    }
  }
}
