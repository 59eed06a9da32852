import type { Change, ChangeSet } from '../../domain/change.ts'
import type { Document } from '../../domain/document.ts'
import { changeSetView } from '../views.ts'

/** The services a watcher asks for; null: everything. */
export type ServiceFilter = ReadonlySet<string> | null

const names = (document: Document): string[] => {
  const { spec } = document
  const destination = typeof spec === 'object' && spec !== null && 'destination' in spec && spec.destination
  return typeof destination === 'string' ? [document.name, destination] : [document.name]
}

/** Whether a change is about one of the services: an instance of it, or a document of its name or towards it. */
const concerns = (change: Change, services: ReadonlySet<string>): boolean =>
  [change.before, change.after].some(subject => {
    if (subject === null) return false
    return 'service' in subject
      ? services.has(subject.service)
      : names(subject).some(name => services.has(name))
  })

/** A revision's changes that match, as JSON; undefined when none does. */
export type Render = (set: ChangeSet, services: ServiceFilter) => string | undefined

/** Watchers of everything share one encoding of a revision; the others get what they asked for. */
export const createRender = (): Render => {
  const whole = new WeakMap<ChangeSet, string>()
  return (set, services) => {
    if (services === null) {
      const cached = whole.get(set)
      if (cached !== undefined) return cached
      const text = JSON.stringify(changeSetView(set))
      whole.set(set, text)
      return text
    }
    const changes = set.changes.filter(change => concerns(change, services))
    return changes.length === 0
      ? undefined
      : JSON.stringify(changeSetView({ revision: set.revision, changes }))
  }
}
