import type { History, ItemState, LogEntry, LogRevision, Violation } from './history.ts'

const text = (value: unknown): string => JSON.stringify(value)

/** Whether these are the revisions `1..`, each once and in order, each with a change. */
const checkGapless = (whose: string, sets: readonly LogRevision[]): Violation[] =>
  sets.flatMap(({ revision, changes }, index) => {
    const problems: Violation[] = []
    if (revision !== index + 1)
      problems.push({ rule: 'gapless', detail: `${whose} has ${revision} in place ${index + 1}` })
    if (changes.length === 0) problems.push({ rule: 'gapless', detail: `${whose}: ${revision} is empty` })
    return problems
  })

/** A type says whether something began, ended, or went on. */
const isTypeOf = ({ type, before, after }: LogEntry): boolean => {
  if (before === null && after === null) return false
  if (type.startsWith('document.')) return type === `document.${after === null ? 'deleted' : 'applied'}`
  return (
    (type === 'instance.registered') === (before === null) &&
    (type === 'instance.deregistered') === (after === null)
  )
}

const checkChain = (sets: readonly LogRevision[]): Violation[] => {
  const states = new Map<string, ItemState | null>()
  const problems: Violation[] = []
  for (const { revision, changes } of sets) {
    for (const change of changes) {
      const { key, before, after, type } = change
      const known = states.get(key) ?? null
      if (text(before) !== text(known)) {
        problems.push({
          rule: 'chain',
          detail: `${revision}: ${key} was ${text(known)}, the change begins at ${text(before)}`,
        })
      }
      if (!isTypeOf(change)) {
        problems.push({
          rule: 'chain',
          detail: `${revision}: ${type} of ${key}, which was ${text(before)} and is ${text(after)}`,
        })
      }
      if (after !== null && after.revision !== revision)
        problems.push({ rule: 'chain', detail: `${revision}: ${key} names revision ${after.revision}` })
      states.set(key, after)
    }
  }
  return problems
}

/** The log by itself, and every watcher and replica against it. */
export const checkLog = ({ logs, watchers }: History): Violation[] => {
  const [first, ...others] = logs
  if (first === undefined) return []
  const head = first.sets.length
  return [
    ...checkGapless(first.replica, first.sets),
    ...checkChain(first.sets),
    ...others
      .filter(({ sets }) => text(sets) !== text(first.sets))
      .map(({ replica }): Violation => ({
        rule: 'agreement',
        detail: `${replica} tells another log than ${first.replica}`,
      })),
    ...watchers.flatMap(({ name, sets }) => checkWatcher(name, sets, first.sets)).slice(0, 100),
    ...watchers
      .filter(({ sets }) => sets.length !== head)
      .map(({ name, sets }): Violation => ({
        rule: 'watch',
        detail: `${name} has seen ${sets.length} revisions of ${head}`,
      })),
  ]
}

const checkWatcher = (name: string, seen: readonly LogRevision[], log: readonly LogRevision[]): Violation[] =>
  seen.flatMap((set, index) => {
    if (set.revision !== index + 1)
      return [{ rule: 'watch', detail: `${name} has seen ${set.revision} in place ${index + 1}` }]
    if (text(set) !== text(log[index]))
      return [{ rule: 'watch', detail: `${name} has seen ${set.revision} differently` }]
    return []
  })
