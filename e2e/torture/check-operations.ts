import type { History, LogEntry, Operation, ReadOperation, Violation, WriteOperation } from './history.ts'
import { lastWhile } from './last-while.ts'
import { States } from './states.ts'

/** A change that a client has asked for, and where it is. */
interface Effect {
  readonly revision: number
  readonly change: LogEntry
}

const text = (value: unknown): string => JSON.stringify(value)

/** What was certain at a moment, and what could be: revisions that operations prove. */
class Bounds {
  /** By time of completion, with the greatest revision known by then. */
  readonly #known: { readonly at: number; readonly revision: number }[] = []
  /** By time of invocation, from the last to the first, with the least revision that came of it or of a later one. */
  readonly #later: { readonly at: number; readonly revision: number }[] = []

  constructor(
    operations: readonly Operation[],
    effects: ReadonlyMap<string, readonly Effect[]>,
    head: number,
  ) {
    let most = 0
    for (const { completedAt: at, revision } of operations.toSorted(
      (a, b) => a.completedAt - b.completedAt,
    )) {
      if (revision === null || revision <= most) continue
      most = revision
      this.#known.push({ at, revision })
    }
    let least = head + 1
    for (const { id, invokedAt: at } of operations.toSorted((a, b) => b.invokedAt - a.invokedAt)) {
      for (const { revision } of effects.get(id) ?? []) least = Math.min(least, revision)
      this.#later.push({ at, revision: least })
    }
  }

  /** The greatest revision that somebody had been told of before `at`. */
  knownBefore(at: number): number {
    return lastWhile(this.#known, entry => entry.at < at)?.revision ?? 0
  }

  /** The last revision that can have been there at `at`: before the first write that was asked for later. */
  possibleAt(at: number): number {
    const next = lastWhile(this.#later, entry => entry.at > at)
    return next === undefined ? Infinity : next.revision - 1
  }
}

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

const isEffectOf = ({ id, kind, key }: WriteOperation, { key: changed, after }: LogEntry): boolean => {
  if (changed !== key) return false
  switch (kind) {
    case 'register':
      return after?.mark === id
    case 'deregister':
      return after === null
    case 'override':
      return after?.override === id
    case 'clear':
      return after !== null && after.override === null
  }
}

const checkWrite = (
  write: WriteOperation,
  { effect, states, bounds }: { effect: Effect | undefined; states: States; bounds: Bounds },
): Violation[] => {
  const { id, kind, key, status, revision } = write
  const what = `${id} (${kind} ${key}, answered ${status ?? 'nothing'} at ${revision ?? 'no revision'})`
  const known = bounds.knownBefore(write.invokedAt)
  const problems: Violation[] = []
  if (effect !== undefined && effect.revision <= known) {
    problems.push({
      rule: 'realTime',
      detail: `${what} is at ${effect.revision}, but ${known} was known before it was asked for`,
    })
  }
  const settled = status !== null && status < 500
  if (settled && effect !== undefined && effect.revision > bounds.possibleAt(write.completedAt)) {
    problems.push({ rule: 'realTime', detail: `${what} is after a write that was asked for later` })
  }
  // A write that failed may have been carried out all the same.
  if (!settled) return problems
  const window = { from: known, to: bounds.possibleAt(write.completedAt) }
  if (status === 404) {
    if (effect !== undefined) problems.push({ rule: 'refused', detail: `${what} is in the log` })
    if (!states.wasMissing(key, window))
      problems.push({ rule: 'refused', detail: `${what}, but the instance was there all the time` })
    return problems
  }
  if (status >= 300) return [...problems, { rule: 'refused', detail: `${what} has no such answer` }]
  if (effect !== undefined) {
    if (effect.revision !== revision)
      problems.push({ rule: 'lost', detail: `${what} is at ${effect.revision}` })
    return problems
  }
  // Only an override that was not there can be taken back without a change.
  const state = states.at(key, revision ?? 0)
  if (kind !== 'clear' || state === null || state.override !== null)
    problems.push({ rule: 'lost', detail: `${what} is not in the log` })
  return problems
}

const checkRead = (read: ReadOperation, states: States, head: number): Violation[] => {
  const { id, service, key, status, revision, seen, minRevision } = read
  if (status === null || revision === null || (status !== 200 && status !== 404)) return []
  const what = `${id} (read ${key ?? service} at ${revision})`
  const problems: Violation[] = []
  if (minRevision !== null && revision < minRevision)
    problems.push({ rule: 'minRevision', detail: `${what} asked for ${minRevision}` })
  if (revision > head)
    problems.push({ rule: 'read', detail: `${what} is beyond the log, which ends at ${head}` })
  const all = states.ofService(service, revision)
  const own = key === null ? null : (all[key] ?? null)
  const expected = key === null ? all : own === null ? {} : { [key]: own }
  const sorted = (of: object) => text(Object.entries(of).sort(([a], [b]) => (a < b ? -1 : 1)))
  if (sorted(seen) !== sorted(expected))
    problems.push({ rule: 'read', detail: `${what} shows ${sorted(seen)}, the log ${sorted(expected)}` })
  return problems
}

const checkMonotonic = (operations: readonly Operation[]): Violation[] => {
  const last = new Map<string, number>()
  return operations
    .toSorted((a, b) => a.invokedAt - b.invokedAt)
    .flatMap(operation => {
      const { id, client, kind, revision, status } = operation
      if (kind !== 'read' || !operation.monotonic || revision === null) return []
      if (status !== 200 && status !== 404) return []
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
      return states.wasMissing(key, window)
        ? []
        : [{ rule: 'refused' as const, detail: `${id} (beat of ${key}) found nobody, but it was there` }]
    }),
  ]
}
