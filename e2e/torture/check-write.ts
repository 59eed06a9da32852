import type { Bounds, Effect } from './bounds.ts'
import type {
  DocumentWrite,
  ItemState,
  LogEntry,
  Precondition,
  Violation,
  WriteOperation,
} from './history.ts'
import type { States } from './states.ts'

interface WriteEvidence {
  readonly effect: Effect | undefined
  readonly states: States
  readonly bounds: Bounds
}

const text = (value: unknown): string => JSON.stringify(value)

const isOfDocument = (write: WriteOperation): write is DocumentWrite =>
  write.kind === 'apply' || write.kind === 'delete'

const ifMatchOf = (write: WriteOperation): Precondition => (isOfDocument(write) ? write.ifMatch : null)

const meets = (state: ItemState | null, ifMatch: Precondition): boolean =>
  ifMatch === null || ifMatch === (state?.revision ?? 'absent')

/** Whether a change is what was asked for. */
export const isEffectOf = (write: WriteOperation, { key, after }: LogEntry): boolean => {
  if (key !== write.key) return false
  switch (write.kind) {
    case 'register':
      return after?.mark === write.id
    case 'apply':
      return after?.mark === write.mark
    case 'deregister':
    case 'delete':
      return after === null
    case 'override':
      return after?.override === write.id
    case 'clear':
      return after !== null && after.override === null
  }
}

/** What a state has to be like for such a refusal; null: there is none such. */
const reasonFor = (write: WriteOperation): ((state: ItemState | null) => boolean) | null => {
  const ifMatch = ifMatchOf(write)
  switch (write.status) {
    case 404:
      if (write.kind === 'register' || write.kind === 'apply') return null
      return state => state === null && meets(state, ifMatch)
    case 412:
      return state => !meets(state, ifMatch)
    default:
      return null
  }
}

/** Of an acknowledged write that is not in the log: whether there was nothing to be done in this state. */
const isDone = (write: WriteOperation, state: ItemState | null): boolean => {
  if (state === null) return false
  if (write.kind === 'clear') return state.override === null
  return write.kind === 'apply' && state.mark === write.mark
}

/** An acknowledged write, and what the log has of it. */
const checkDone = (write: WriteOperation, what: string, { effect, states }: WriteEvidence): Violation[] => {
  const { kind, key, status, revision } = write
  if (effect !== undefined && effect.revision !== revision)
    return [{ rule: 'lost', detail: `${what} is at ${effect.revision}` }]
  const [before, after] =
    effect === undefined
      ? [states.at(key, revision ?? 0), states.at(key, revision ?? 0)]
      : [effect.change.before, effect.change.after]
  if (effect === undefined && !isDone(write, after))
    return [{ rule: 'lost', detail: `${what} is not in the log` }]
  const problems: Violation[] = []
  const ifMatch = ifMatchOf(write)
  if (!meets(before, ifMatch)) {
    problems.push({
      rule: 'precondition',
      detail: `${what} asked for ${ifMatch ?? 'any'} and met ${text(before)}`,
    })
  }
  const creates = before === null && (kind === 'register' || kind === 'apply')
  if ((status === 201) !== creates) problems.push({ rule: 'answer', detail: `${what} met ${text(before)}` })
  if (kind === 'apply' && write.etag !== (after?.revision ?? null))
    problems.push({
      rule: 'answer',
      detail: `${what} names version ${write.etag ?? 'none'} of ${text(after)}`,
    })
  return problems
}

/** One write against the log and against what was known when it was asked for. */
export const checkWrite = (write: WriteOperation, evidence: WriteEvidence): Violation[] => {
  const { effect, states, bounds } = evidence
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
  // A write that failed may have been carried out all the same.
  if (status === null || status >= 500) {
    if (effect !== undefined && !meets(effect.change.before, ifMatchOf(write)))
      problems.push({ rule: 'precondition', detail: `${what} met ${text(effect.change.before)}` })
    return problems
  }
  if (status < 300) return [...problems, ...checkDone(write, what, evidence)]
  const reason = reasonFor(write)
  if (reason === null) return [...problems, { rule: 'refused', detail: `${what} has no such answer` }]
  if (effect !== undefined) problems.push({ rule: 'refused', detail: `${what} is in the log` })
  if (!states.was(key, { from: known, to: bounds.possibleAt(write.completedAt) }, reason))
    problems.push({ rule: 'refused', detail: `${what}, but there was no reason all the time` })
  return problems
}
