/** A line of newline-delimited JSON, counted from 1; blank lines are counted and left out. */
export interface NdjsonLine {
  readonly number: number
  /** null: longer than a line may be. */
  readonly text: string | null
}

export interface NdjsonLimits {
  /** Bytes of a line. */
  readonly lineBytes: number
  /** Bytes of all lines together, and how many there may be. */
  readonly bytes: number
  readonly lines: number
}

/** The stream is longer than it may be. What came before counts; `line` is the first that does not. */
export class NdjsonTooLongError extends Error {
  override readonly name = 'NdjsonTooLongError'
  readonly line: number

  constructor(line: number, what: string) {
    super(what)
    this.line = line
  }
}

const newline = 0x0a

/**
 * Cuts a stream of bytes into lines, as many at a time as have come; holds no more than one line. Throws
 * NdjsonTooLongError after having yielded what fits.
 */
export async function* ndjsonLines(
  chunks: AsyncIterable<Buffer>,
  limits: NdjsonLimits,
): AsyncGenerator<readonly NdjsonLine[]> {
  const { lineBytes } = limits
  let number = 1
  let bytes = 0
  let rest: Buffer[] = []
  let restBytes = 0

  const tooMany = (): Error => new NdjsonTooLongError(number, `more than ${limits.lines} lines`)
  const finish = (end: Buffer): NdjsonLine | null => {
    const length = restBytes + end.length
    const whole = length > lineBytes ? null : rest.length === 0 ? end : Buffer.concat([...rest, end])
    rest = []
    restBytes = 0
    const line = { number, text: whole === null ? null : whole.toString('utf8') }
    number += 1
    return line.text === null || line.text.trim() !== '' ? line : null
  }

  for await (const chunk of chunks) {
    if (number > limits.lines && chunk.length > 0) throw tooMany()
    bytes += chunk.length
    const found: NdjsonLine[] = []
    let from = 0
    for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, from)) {
      const line = finish(chunk.subarray(from, at))
      if (line !== null) found.push(line)
      from = at + 1
      if (number > limits.lines) break
    }
    if (found.length > 0) yield found
    if (number > limits.lines && from < chunk.length) throw tooMany()
    if (bytes > limits.bytes) throw new NdjsonTooLongError(number, `more than ${limits.bytes} bytes`)
    // Of a line that is too long only its length is kept.
    if (restBytes <= lineBytes && from < chunk.length) rest.push(chunk.subarray(from))
    restBytes += chunk.length - from
  }
  if (restBytes === 0) return
  const last = finish(Buffer.alloc(0))
  if (last !== null) yield [last]
}
