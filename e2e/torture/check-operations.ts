import { Bounds, type Effect } from './bounds.ts'
import { checkWrite, isEffectOf } from './check-write.ts'
import type { History, Operation, ReadOperation, Violation } from './history.ts'
import { States } from './states.ts'

const text = (value: unknown): string => JSON.stringify(value)

const effectsOf = (history: History): Map<string, Effect[]> => {
  const effects = new Map<string, Effect[]>()
  const known = new Set(history.operations.map(({ id }) => id))
  for (const { revision, changes } of history.logs[0]?.sets ?? []) {
    for (const change of changes) {
      if (!change.actor.startsWith('rest:')) continue
      const actor = change.actor.slice('rest:'.length)
      const line = `${actor}/${change.key}`
      const id = known.has(line) ? line : actor
      const list = effects.get(id) ?? []
      effects.set(id, list)
      list.push({ revision, change })
    }
  }
  return effects
}

const checkAttribution = (history: History, effects: ReadonlyMap<string, readonly Effect[]>): Violation[] => {
  const writes = new Map(history.operations.map(operation => [operation.id, operation]))
  return [...effects].flatMap(([id, all]): Violation[] => {
    const write = writes.get(id)
    const where = all.map(({ revision }) => revision).join(', ')
    if (write === undefined || write.kind === 'read' || write.kind === 'beat')
      return [{ rule: 'attribution', detail: `nobody asked for ${id} at ${where}` }]
    if (all.length > 1) return [{ rule: 'attribution', detail: `${id} happened at ${where}` }]
    return all
      .filter(({ change }) => !isEffectOf(write, change))
      .map(({ change }) => ({
        rule: 'attribution',
        detail: `${id} (${write.kind} ${write.key}) did ${text(change)}`,
      }))
  })
}

const sorted = (of: object): string => text(Object.entries(of).sort(([a], [b]) => (a < b ? -1 : 1)))

const isAnswered = ({ status }: ReadOperation): boolean => status === 200 || status === 304 || status === 404

const checkRead = (read: ReadOperation, states: States, head: number): Violation[] => {
  const { id, groups, key, status, revision, seen, minRevision, unless } = read
  const what = `${id} (read ${key ?? groups.join(', ')} at ${revision ?? 'no revision'})`
  if (status !== null && status < 500 && !isAnswered(read))
    return [{ rule: 'read', detail: `${what} was answered with ${status}` }]
  if (revision === null || !isAnswered(read)) return []
  const problems: Violation[] = []
  if (minRevision !== null && revision < minRevision)
    problems.push({ rule: 'minRevision', detail: `${what} asked for ${minRevision}` })
  if (revision > head)
    problems.push({ rule: 'read', detail: `${what} is beyond the log, which ends at ${head}` })
  const own = key === null ? null : states.at(key, revision)
  if (unless !== null && (status === 304) !== (own?.revision === unless)) {
    problems.push({
      rule: 'read',
      detail: `${what} was answered with ${status ?? 0} to ${unless}, the log has ${text(own)}`,
    })
  }
  if (status === 304) return problems
  const all = () => Object.assign({}, ...groups.map(group => states.ofGroup(group, revision))) as object
  const expected = key === null ? all() : own === null ? {} : { [key]: own }
  if (sorted(seen) !== sorted(expected))
    problems.push({ rule: 'read', detail: `${what} shows ${sorted(seen)}, the log ${sorted(expected)}` })
  return problems
}

const checkMonotonic = (operations: readonly Operation[]): Violation[] => {
  const last = new Map<string, number>()
  return operations
    .toSorted((a, b) => a.invokedAt - b.invokedAt)
    .flatMap(operation => {
      const { id, client, kind, revision } = operation
      if (kind !== 'read' || !operation.monotonic || revision === null) return []
      if (!isAnswered(operation)) return []
      const before = last.get(client) ?? 0
      last.set(client, Math.max(before, revision))
      if (revision >= before) return []
      return [
        { rule: 'monotonic' as const, detail: `${client} has read ${before}, then ${revision} by ${id}` },
      ]
    })
}

/** Every answer that a client got against the log. Linear but for the search of states. */
export const checkOperations = (history: History): Violation[] => {
  const { operations } = history
  const sets = history.logs[0]?.sets ?? []
  const head = sets.at(-1)?.revision ?? 0
  const states = new States(sets)
  const effects = effectsOf(history)
  const bounds = new Bounds(operations, effects, head)
  return [
    ...checkAttribution(history, effects),
    ...checkMonotonic(operations),
    ...operations.flatMap(operation => {
      if (operation.kind === 'read') return checkRead(operation, states, head)
      if (operation.kind !== 'beat') {
        return checkWrite(operation, { effect: effects.get(operation.id)?.[0], states, bounds })
      }
      if (operation.status !== 404) return []
      const { id, key, invokedAt, completedAt } = operation
      const window = { from: bounds.knownBefore(invokedAt), to: bounds.possibleAt(completedAt) }
      return states.was(key, window, state => state === null)
        ? []
        : [{ rule: 'refused' as const, detail: `${id} (beat of ${key}) found nobody, but it was there` }]
    }),
  ]
}
