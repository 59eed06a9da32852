import { checkLog } from './check-log.ts'
import { checkOperations } from './check-operations.ts'
import type { History, Violation } from './history.ts'

/**
 * Whether a history could have come about in a registry that keeps its promises (`rules`). Every write names its
 * place in the log, so the order need not be searched for, as a general checker of linearizability would: the log is
 * the order, and what is checked is that it is one, that it explains every answer, and that it respects what was known
 * when each operation was asked for. Pure.
 */
export const checkHistory = (history: History): Violation[] => [
  ...checkLog(history),
  ...checkOperations(history),
]
