/** From what REST answers to what is checked. */
import type { ChangeSetView, ChangeView } from '@waymark/control-plane/rest/schemas/change.ts'
import type { DocumentView } from '@waymark/control-plane/rest/schemas/document.ts'
import type { InstanceView } from '@waymark/control-plane/rest/schemas/instance.ts'
import type { ItemState, LogEntry, LogRevision } from './history.ts'

export const instanceState = ({ revision, metadata, override }: InstanceView): ItemState => ({
  revision,
  mark: metadata['mark'] ?? '',
  override: override?.reason ?? null,
})

export const instanceKey = ({ service, id }: InstanceView): string => `${service}/${id}`

/** Kinds of documents, each with the spec that carries a mark. */
export const specs = {
  Service: (mark: string) => ({ description: mark }),
  TrafficPolicy: (mark: string) => ({ caller: mark }),
} as const

export const documentState = ({ revision, spec }: DocumentView): ItemState => {
  const { description, caller } = spec as { readonly description?: string; readonly caller?: string }
  return { revision, mark: description ?? caller ?? '', override: null }
}

export const documentKey = ({ kind, name }: DocumentView): string => `${kind}/${name}`

const entryOf = (change: ChangeView): LogEntry => {
  const { aggregateId: key, actor, type } = change
  const reduced = <T>(view: T | null, stateOf: (view: T) => ItemState) =>
    view === null ? null : stateOf(view)
  const [before, after] =
    change.aggregateType === 'instance'
      ? [reduced(change.before, instanceState), reduced(change.after, instanceState)]
      : [reduced(change.before, documentState), reduced(change.after, documentState)]
  return { key, actor, type, before, after }
}

export const logOf = (sets: readonly ChangeSetView[]): LogRevision[] =>
  sets.map(({ revision, changes }) => ({ revision, changes: changes.map(entryOf) }))
