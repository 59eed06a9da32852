import type { Change, ChangeSet } from '../../domain/change.ts'
import type { Document } from '../../domain/document.ts'
import { changeSetView } from '../views.ts'

/** What a watcher asks for; null: everything. */
export interface WatchFilter {
  readonly services: ReadonlySet<string> | null
  /** Types of changes (`instance.health`), or of what they change (`instance`). */
  readonly kinds: ReadonlySet<string> | null
}

/** Equal keys are equal filters. */
export const filterKey = ({ services, kinds }: WatchFilter): string =>
  JSON.stringify([services, kinds].map(set => (set === null ? null : [...set].sort())))

const names = (document: Document): string[] => {
  const { spec } = document
  const destination = typeof spec === 'object' && spec !== null && 'destination' in spec && spec.destination
  return typeof destination === 'string' ? [document.name, destination] : [document.name]
}

/** The services that a change is about: that of an instance; the name of a document, and the one it is towards. */
export const servicesOf = ({ before, after }: Change): string[] =>
  [before, after].flatMap(subject => {
    if (subject === null) return []
    return 'service' in subject ? [subject.service] : names(subject)
  })

/** A revision's changes that match; undefined when none does. */
export const filterSet = (set: ChangeSet, { services, kinds }: WatchFilter): ChangeSet | undefined => {
  if (services === null && kinds === null) return set
  const changes = set.changes.filter(
    change =>
      (kinds === null || kinds.has(change.type) || kinds.has(change.aggregateType)) &&
      (services === null || servicesOf(change).some(name => services.has(name))),
  )
  if (changes.length === set.changes.length) return set
  return changes.length === 0 ? undefined : { revision: set.revision, changes }
}

/** The changes as JSON. All who get the whole of a revision share one text. */
export const createEncoder = (): ((set: ChangeSet) => string) => {
  const whole = new WeakMap<ChangeSet, string>()
  return set => {
    const known = whole.get(set)
    if (known !== undefined) return known
    const text = JSON.stringify(changeSetView(set))
    whole.set(set, text)
    return text
  }
}
