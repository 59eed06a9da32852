import pg from 'pg'
import { WaymarkError } from '../domain/errors.ts'

/** SQLSTATE classes and codes that say "not now" instead of "wrong". */
const passingClasses = new Set(['08', '53', '57'])
const passingCodes = new Set([
  // A standby; a transaction that this process, paused, has let stand; one that others are in the way of.
  ...['25006', '25P03', '40001', '40P01', '55P03'],
  // No such database, or no tables in it yet: it is being restored.
  ...['3D000', '42P01'],
])

/**
 * Whether the database could not be reached or could not answer now, as opposed to having refused a statement.
 * What the server said is judged by SQLSTATE. What has none comes from the socket (system errors) or from pg's
 * own time limits and broken connections, which pg reports as plain Error; an error of any other class is a
 * defect of ours.
 */
export const isUnavailable = (error: unknown): boolean => {
  // Told so already: an interrupted commit, which must neither run again nor count as refused.
  if (error instanceof WaymarkError) return error.code === 'database_unavailable'
  if (error instanceof pg.DatabaseError) {
    const code = error.code ?? ''
    return passingClasses.has(code.slice(0, 2)) || passingCodes.has(code)
  }
  return error instanceof Error && (error.name === 'Error' || error.name === 'AggregateError')
}

/** What the server or the socket said, with the server's code. */
export const whyUnavailable = (error: unknown): string => {
  const cause = error instanceof WaymarkError && error.cause !== undefined ? error.cause : error
  const { message, code } = cause as { readonly message?: string; readonly code?: string }
  // A failed attempt at several addresses has a code and no message.
  const words = message === undefined || message === '' ? (code ?? String(cause)) : message
  return cause instanceof pg.DatabaseError ? `${words} (${cause.code ?? 'no code'})` : words
}

export const databaseUnavailable = (cause: unknown, detail?: string): WaymarkError =>
  new WaymarkError('database_unavailable', detail ?? 'the database cannot be reached; nothing was written', {
    cause,
    retryAfterMs: 1_000,
  })

/** Runs a read; what the database cannot answer now becomes `database_unavailable`. */
export const reading = async <T>(read: () => Promise<T>): Promise<T> => {
  try {
    return await read()
  } catch (error) {
    if (error instanceof WaymarkError || !isUnavailable(error)) throw error
    throw databaseUnavailable(error, 'the database cannot be reached')
  }
}
