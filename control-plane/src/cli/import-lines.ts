import type { BatchResultView } from '../rest/schemas/batch.ts'
import type { Clock } from '../runtime/clock.ts'

export interface ImportOptions {
  /** One request; resolves with a result for each line that is not blank, in order. */
  readonly send: (lines: readonly string[]) => Promise<readonly BatchResultView[]>
  readonly clock: Pick<Clock, 'sleep'>
  /** Told of each line that was refused for good, by its number in the file. */
  readonly onRefused: (result: BatchResultView) => void
  readonly onProgress: (soFar: ImportSummary) => void
  /** Whether what `send` rejects with may pass; `answered`: the control plane has answered before. */
  readonly isPassing: (error: unknown, answered: boolean) => boolean
}

export interface ImportSummary {
  readonly lines: number
  readonly registered: number
  readonly unchanged: number
  readonly deregistered: number
  readonly refused: number
  /** Of the refused: those that the control plane could not take, however often it was asked. */
  readonly unavailable: number
  /** The last revision of all; 0: nothing was written. */
  readonly revision: number
}

interface FileLine {
  readonly number: number
  readonly text: string
}

/** Less than a batch may have: lines come and go while the next ones are read. */
const batchLines = 5_000
const batchChars = 4 * 1_024 * 1_024
const attempts = 10
const againMs = 1_000

/** Sends the lines of a stream in batches, in order, those again that the control plane could not take just then. */
export const importLines = async (
  chunks: AsyncIterable<Buffer>,
  { send, clock, onRefused, onProgress, isPassing }: ImportOptions,
): Promise<ImportSummary> => {
  const summary = {
    lines: 0,
    registered: 0,
    unchanged: 0,
    deregistered: 0,
    refused: 0,
    unavailable: 0,
    revision: 0,
  }

  const note = (line: FileLine, result: BatchResultView): void => {
    summary.lines += 1
    if (result.problem !== undefined) {
      summary.refused += 1
      if (result.status >= 500) summary.unavailable += 1
      onRefused({ ...result, line: line.number })
      return
    }
    summary.revision = Math.max(summary.revision, result.revision ?? 0)
    if (result.status === 204) summary.deregistered += 1
    else if (result.changed === false) summary.unchanged += 1
    else summary.registered += 1
  }

  let answered = false
  /** Nothing of it is known where no answer came, or the control plane could not take it just then. */
  const attempted = async (
    lines: readonly FileLine[],
    last: boolean,
  ): Promise<readonly BatchResultView[]> => {
    try {
      const results = await send(lines.map(({ text }) => text))
      answered = true
      return results
    } catch (error) {
      if (last || !isPassing(error, answered)) throw error
      return []
    }
  }

  const flush = async (batch: readonly FileLine[]): Promise<void> => {
    let waiting = batch
    for (let attempt = 1; waiting.length > 0; attempt += 1) {
      const results = await attempted(waiting, attempt === attempts)
      const again: FileLine[] = []
      for (const [index, line] of waiting.entries()) {
        const result = results[index]
        // An answer that was cut short says nothing of the rest.
        const passing = result === undefined || result.status === 503
        if (passing && attempt < attempts) again.push(line)
        else note(line, result ?? { line: line.number, status: 503 })
      }
      waiting = again
      if (again.length > 0) await clock.sleep(againMs)
      onProgress(summary)
    }
  }

  let batch: FileLine[] = []
  let chars = 0
  for await (const line of fileLines(chunks)) {
    if (line.text.trim() === '') continue
    if (batch.length === batchLines || chars + line.text.length > batchChars) {
      await flush(batch)
      batch = []
      chars = 0
    }
    batch.push(line)
    chars += line.text.length
  }
  await flush(batch)
  return summary
}

async function* fileLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<FileLine> {
  const decoder = new TextDecoder()
  let number = 0
  let rest = ''
  for await (const chunk of chunks) {
    const texts = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = texts.pop() ?? ''
    for (const text of texts) yield { number: (number += 1), text }
  }
  rest += decoder.decode()
  if (rest !== '') yield { number: number + 1, text: rest }
}
