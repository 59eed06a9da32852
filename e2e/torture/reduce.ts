/** From what REST answers to what is checked. */
import type { ChangeSetView } from '@waymark/control-plane/rest/schemas/change.ts'
import type { InstanceView } from '@waymark/control-plane/rest/schemas/instance.ts'
import type { InstanceState, LogRevision } from './history.ts'

export const stateOf = ({ revision, metadata, override }: InstanceView): InstanceState => ({
  revision,
  mark: metadata['mark'] ?? '',
  override: override?.reason ?? null,
})

export const keyOf = ({ service, id }: InstanceView): string => `${service}/${id}`

export const logOf = (sets: readonly ChangeSetView[]): LogRevision[] =>
  sets.map(({ revision, changes }) => ({
    revision,
    changes: changes.flatMap(change => {
      if (change.aggregateType !== 'instance') return []
      const { aggregateId: key, actor, type, before, after } = change
      return [
        {
          key,
          actor,
          type,
          before: before === null ? null : stateOf(before),
          after: after === null ? null : stateOf(after),
        },
      ]
    }),
  }))
