const secretKey = /pass(word|wd)?$|secret|token$|authorization|cookie|private_?key|database_?url/i
const userInfo = /(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@]+@/gi
const secretParameter = /\b((?:password|secret|token|sslkey)\s*=\s*)('[^']*'|[^\s&'"]+)/gi

const hidden = '[redacted]'
const maxDepth = 6
const maxEntries = 100

/** Text without the credentials of URLs (`scheme://user:password@`) and of `password=` parameters. */
export const redactText = (text: string): string =>
  text.replace(userInfo, `$1${hidden}@`).replace(secretParameter, `$1${hidden}`)

/** Only the parts of an error that cannot hold a statement's parameters or a whole connection config. */
const describeError = (error: Error, depth: number): Record<string, unknown> => ({
  type: error.name,
  message: redactText(error.message),
  ...('code' in error && { code: redactValue(error.code, depth + 1) }),
  ...(error.stack !== undefined && { stack: redactText(error.stack) }),
  ...(error.cause !== undefined && { cause: redactValue(error.cause, depth + 1) }),
})

const redactValue = (value: unknown, depth: number): unknown => {
  if (typeof value === 'string') return redactText(value)
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth > maxDepth) return '[deeper]'
  if (value instanceof Error) return describeError(value, depth)
  if (value instanceof Date || value instanceof URL)
    return redactText(String(JSON.parse(JSON.stringify(value))))
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
  if (Array.isArray(value)) return value.slice(0, maxEntries).map(item => redactValue(item, depth + 1))
  return redactEntries(value, depth)
}

const redactEntries = (value: object, depth: number): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(value)
      .slice(0, maxEntries)
      .map(([key, item]) => [key, secretKey.test(key) ? hidden : redactValue(item, depth + 1)]),
  )

/**
 * A copy of log fields that is safe to write down: secrets by name of the key, credentials inside of texts, and
 * no part of an error beyond type, code, message, stack and cause. Bounded in depth (6) and width (100), so that a
 * cyclic or huge object costs a line, not the process.
 */
export const redact = (fields: object): Record<string, unknown> => redactEntries(fields, 0)
