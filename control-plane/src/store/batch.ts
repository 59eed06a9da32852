import type {
  Change,
  ChangeMeta,
  ChangeSet,
  DocumentChange,
  DocumentChangeType,
  InstanceChange,
  InstanceChangeType,
} from '../domain/change.ts'
import { documentKey, type Document } from '../domain/document.ts'
import { instanceKey, type Instance } from '../domain/instance.ts'
import { BatchPart, type BatchRows, type BatchState } from './batch-part.ts'
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

const nothing = (): BatchState => ({ instances: new Map(), documents: new Map(), beats: new Map(), sets: [] })

/** What the writes of one part share. */
interface PartContext {
  /** Milliseconds since the epoch, and as ISO 8601. */
  readonly now: number
  readonly time: string
  readonly ids: ChangeIds
  /** As the writes of this part find them. */
  readonly rows: BatchRows
  readonly state: BatchState
}

/**
 * The writes of one transaction, applied one after the other to the rows that were read. Pure but for the
 * change ids. A write that refuses leaves no trace; the next one sees what the ones before it did.
 */
export class Batch {
  readonly #sets: ChangeSet[] = []
  #context: PartContext
  #revision: number
  #incarnation: number

  /** `ids`: of the changes; a sequencer has one for all its batches. */
  constructor(input: BatchInput, ids = new ChangeIds()) {
    this.#revision = input.revision
    this.#incarnation = input.incarnation
    const rows: BatchRows = { instances: new Map(), documents: new Map(), leases: new Map(input.leases) }
    for (const instance of input.instances)
      rows.instances.set(instanceKey(instance.service, instance.id), instance)
    for (const document of input.documents)
      rows.documents.set(documentKey(document.kind, document.name), document)
    const { now } = input
    this.#context = { now, time: new Date(now).toISOString(), ids, rows, state: nothing() }
  }

  get revision(): number {
    return this.#revision
  }

  get incarnation(): number {
    return this.#incarnation
  }

  /** Of all parts. */
  get sets(): readonly ChangeSet[] {
    return this.#sets
  }

  /** What has been done since the last cut. The writes that follow find it in their rows. */
  cut(): BatchPart {
    const { now, rows, state } = this.#context
    const part = new BatchPart(state, rows, this.#endedLeases())
    const { instances, documents, leases } = rows
    for (const [key, instance] of state.instances) {
      if (instance === null) instances.delete(key)
      else instances.set(key, instance)
    }
    for (const key of part.endedLeases) leases.delete(key)
    for (const [key, beat] of state.beats) {
      const lease = leaseOf(beat, now)
      if (lease !== undefined) leases.set(key, lease)
    }
    for (const [key, document] of state.documents) {
      if (document === null) documents.delete(key)
      else documents.set(key, document)
    }
    this.#context = { ...this.#context, state: nothing() }
    return part
  }

  /** Runs one write. Throws what it throws, having changed nothing. */
  run<R>(write: Write<R>): { result: R; revision: number; changed: boolean } {
    const { state } = this.#context
    const draft = new WriteDraft(this.#context, write, {
      revision: this.#revision + 1,
      incarnation: this.#incarnation,
    })
    const result = write.decide(draft)
    const changed = draft.changes.length > 0
    if (changed) {
      const set = { revision: draft.revision, changes: draft.changes }
      state.sets.push(set)
      this.#sets.push(set)
    }
    draft.instances?.forEach((instance, key) => {
      state.instances.set(key, instance)
      if (instance === null || instance.spec.lease === null) state.beats.delete(key)
    })
    draft.documents?.forEach((document, key) => state.documents.set(key, document))
    draft.beats?.forEach((instance, key) => state.beats.set(key, instance))
    this.#incarnation = draft.incarnation
    if (changed) this.#revision = draft.revision
    return { result, revision: this.#revision, changed }
  }

  #endedLeases(): string[] {
    const { rows, state } = this.#context
    const { instances, leases } = rows
    const ended: string[] = []
    for (const [key, instance] of state.instances) {
      if (instance === null) ended.push(key)
      else if (instance.spec.lease === null) {
        const before = instances.get(key)
        // A beat may have left the lease of one that was removed: a new instance must not have it.
        if (before?.spec.lease !== null || leases.has(key)) ended.push(key)
      }
    }
    return ended
  }
}

const leaseOf = ({ incarnation, spec }: Instance, now: number): LeaseRow | undefined =>
  spec.lease === null ? undefined : { incarnation, ttlMs: spec.lease.ttlMs, seenAt: now }

/** The overlay of one write over the state of its batch. */
class WriteDraft implements Draft {
  readonly revision: number
  readonly changes: Change[] = []
  /** Made when they are needed: most writes touch one row. */
  instances: Map<string, Instance | null> | null = null
  documents: Map<string, Document | null> | null = null
  beats: Map<string, Instance> | null = null
  incarnation: number
  readonly #context: PartContext
  readonly #write: Write<unknown>

  constructor(
    context: PartContext,
    write: Write<unknown>,
    { revision, incarnation }: { readonly revision: number; readonly incarnation: number },
  ) {
    this.revision = revision
    this.incarnation = incarnation
    this.#context = context
    this.#write = write
  }

  get now(): number {
    return this.#context.now
  }

  get time(): string {
    return this.#context.time
  }

  instance(service: string, id: string): Instance | undefined {
    const { state, rows } = this.#context
    const key = instanceKey(service, id)
    const own = this.instances?.get(key)
    if (own !== undefined) return own ?? undefined
    const batch = state.instances.get(key)
    if (batch !== undefined) return batch ?? undefined
    return rows.instances.get(key)
  }

  lease(service: string, id: string): LeaseRow | undefined {
    const { state, rows } = this.#context
    const key = instanceKey(service, id)
    const beat = this.beats?.get(key) ?? state.beats.get(key)
    return (beat === undefined ? undefined : leaseOf(beat, this.now)) ?? rows.leases.get(key)
  }

  document(kind: string, name: string): Document | undefined {
    const { state, rows } = this.#context
    const key = documentKey(kind, name)
    const own = this.documents?.get(key)
    if (own !== undefined) return own ?? undefined
    const batch = state.documents.get(key)
    if (batch !== undefined) return batch ?? undefined
    return rows.documents.get(key)
  }

  nextIncarnation(): number {
    this.incarnation += 1
    return this.incarnation
  }

  putInstance(instance: Instance, type: InstanceChangeType): Instance {
    const after = instance.revision === this.revision ? instance : { ...instance, revision: this.revision }
    this.#changeInstance(this.instance(instance.service, instance.id) ?? null, after, type)
    return after
  }

  amendInstance(instance: Instance): void {
    this.#setInstance(instanceKey(instance.service, instance.id), instance)
  }

  removeInstance(instance: Instance): void {
    this.#changeInstance(instance, null, 'instance.deregistered')
  }

  beat(instance: Instance): void {
    if (instance.spec.lease === null) return
    this.beats ??= new Map<string, Instance>()
    this.beats.set(instanceKey(instance.service, instance.id), instance)
  }

  putDocument(document: Document, type: DocumentChangeType): Document {
    const after = { ...document, revision: this.revision }
    this.#changeDocument(this.document(document.kind, document.name) ?? null, after, type)
    return after
  }

  removeDocument(document: Document): void {
    this.#changeDocument(document, null, 'document.deleted')
  }

  #setInstance(key: string, instance: Instance | null): void {
    this.instances ??= new Map<string, Instance | null>()
    this.instances.set(key, instance)
  }

  #changeInstance(before: Instance | null, after: Instance | null, type: InstanceChangeType): void {
    const subject = after ?? before
    if (subject === null) return
    const key = instanceKey(subject.service, subject.id)
    this.#setInstance(key, after)
    if (after === null) this.beats?.delete(key)
    this.#log({ aggregateType: 'instance', aggregateId: key, type, before, after })
  }

  #changeDocument(before: Document | null, after: Document | null, type: DocumentChangeType): void {
    const subject = after ?? before
    if (subject === null) return
    const key = documentKey(subject.kind, subject.name)
    this.documents ??= new Map<string, Document | null>()
    this.documents.set(key, after)
    this.#log({ aggregateType: 'document', aggregateId: key, type, before, after })
  }

  #log({
    aggregateType,
    aggregateId,
    type,
    before,
    after,
  }: Omit<InstanceChange, keyof ChangeMeta> | Omit<DocumentChange, keyof ChangeMeta>): void {
    // Named one by one: what is spread takes five times the memory until it is collected. TypeScript takes the two kinds apart.
    this.changes.push({
      id: this.#context.ids.next(),
      revision: this.revision,
      position: this.changes.length,
      occurredAt: this.time,
      actor: this.#write.actor,
      traceparent: this.#write.traceparent,
      aggregateType,
      aggregateId,
      type,
      before,
      after,
    } as Change)
  }
}
