import type { LoadCounts } from './load.ts'
import { alignColumns, type Paint } from './table.ts'

/** One chapter of the story, as it went. */
export interface Chapter {
  readonly title: string
  /** The requests sent meanwhile; null: left out. */
  readonly counts: LoadCounts | null
  readonly figure: string
  /** What was expected and what was seen instead. */
  readonly problems: readonly string[]
}

const resultOf = ({ counts, problems }: Chapter, paint: Paint): string => {
  if (problems.length > 0) return paint('red', 'failed')
  return counts === null ? paint('yellow', 'skipped') : paint('green', 'passed')
}

/** A table of all chapters, then everything that was not as expected. */
export const renderReport = (chapters: readonly Chapter[], paint: Paint): string[] => {
  const head = ['', 'requests', 'failed', 'result', ''].map(title => paint('bold', title))
  const rows = chapters.map(chapter => {
    const { title, counts, figure } = chapter
    const numbers = counts === null ? ['-', '-'] : [String(counts.sent), String(counts.failed)]
    return [title, ...numbers, resultOf(chapter, paint), figure]
  })
  const problems = chapters.flatMap(({ title, problems: own }) =>
    own.map(problem => paint('red', `${title}: ${problem}`)),
  )
  return [...alignColumns([head, ...rows]), ...(problems.length > 0 ? ['', ...problems] : [])]
}

/** Up to three reasons of failed requests, the most frequent first. */
export const describeFailures = ({ failures }: LoadCounts): string =>
  [...failures]
    .sort(([, a], [, b]) => b - a)
    .slice(0, 3)
    .map(([reason, count]) => `${count} x ${reason}`)
    .join('; ')

/** A sentence when more than `most` requests failed, or none was answered. */
export const judgeFailures = (counts: LoadCounts, most: number): string[] => {
  const problems: string[] = []
  if (counts.ok === 0) problems.push('expected requests to be answered, none was')
  if (counts.failed > most)
    problems.push(
      `expected ${most === 0 ? 'no' : `at most ${most}`} failed requests, saw ${counts.failed}: ${describeFailures(counts)}`,
    )
  return problems
}
