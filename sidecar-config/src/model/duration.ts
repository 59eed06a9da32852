const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const
const units = ['h', 'm', 's', 'ms'] as const
type Unit = keyof typeof unitMs

/** The longest duration that is read: beyond it is a typing error rather than a wish. */
const maxDurationMs = 365 * 24 * unitMs.h

/** What a duration looks like, as a JSON Schema pattern. */
export const durationPattern = '^([0-9]{1,11}(?:\\.[0-9]{1,3})?)(ms|s|m|h)$'

const syntax = new RegExp(durationPattern)

/** What is accepted where a duration is asked for, for error messages. */
export const durationAccepted = 'a number and a unit (ms, s, m or h), such as "500ms", "1.5s" or "10m"'

/**
 * Milliseconds of `500ms`, `1.5s`, `10m` or `2h`; undefined for anything else, for what is no whole number of
 * milliseconds and for more than a year.
 */
export const parseDuration = (text: string): number | undefined => {
  const [, digits, unit] = syntax.exec(text) ?? []
  if (digits === undefined || unit === undefined) return undefined
  const exact = Number(digits) * unitMs[unit as Unit]
  // 0.001s is 1 ms, although 0.001 * 1000 need not be 1 in binary.
  const ms = Math.round(exact)
  return Math.abs(exact - ms) < 1e-6 && ms <= maxDurationMs ? ms : undefined
}

/** Like `parseDuration`, for text that a schema has already checked. Throws RangeError for anything else. */
export const durationMs = (text: string): number => {
  const ms = parseDuration(text)
  if (ms === undefined) throw new RangeError(`"${text}" is no duration; accepted: ${durationAccepted}`)
  return ms
}

/** The shortest text that `parseDuration` reads as `ms`, in the largest unit that divides it. */
export const formatDuration = (ms: number): string => {
  if (!Number.isSafeInteger(ms) || ms < 0) throw new RangeError(`${ms} is no whole number of milliseconds`)
  if (ms === 0) return '0s'
  const unit = units.find(candidate => ms % unitMs[candidate] === 0) ?? 'ms'
  return `${ms / unitMs[unit]}${unit}`
}
