/** How many tests passed, failed and were skipped. */
export interface Tally {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** Something that was to be tested and could not even start. */
const notStarted: Tally = { passed: 0, failed: 1, skipped: 0 }

export const addTallies = (tallies: readonly Tally[]): Tally => ({
  passed: tallies.reduce((sum, { passed }) => sum + passed, 0),
  failed: tallies.reduce((sum, { failed }) => sum + failed, 0),
  skipped: tallies.reduce((sum, { skipped }) => sum + skipped, 0),
})

export const formatTally = ({ passed, failed, skipped }: Tally): string =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`

/** A run that ended badly has at least one failure, and one that tested nothing has, too. */
const honest = (tally: Tally, exitCode: number | null): Tally => {
  const tested = tally.passed + tally.failed
  return tally.failed === 0 && (exitCode !== 0 || tested === 0) ? { ...tally, failed: 1 } : tally
}

/** Reads the last line of a program that ends with `N passed, N failed, N skipped`. */
export const tallyOfLastLine = (output: string, exitCode: number | null): Tally => {
  const match = /^(\d+) passed, (\d+) failed, (\d+) skipped$/.exec(output.trimEnd().split('\n').at(-1) ?? '')
  if (match === null) return notStarted
  const [, passed, failed, skipped] = match.map(Number)
  return honest({ passed: passed ?? 0, failed: failed ?? 0, skipped: skipped ?? 0 }, exitCode)
}

/** What this module needs to know of vitest's json report. */
interface VitestReport {
  readonly success: boolean
  readonly testResults: readonly {
    readonly status: string
    readonly assertionResults: readonly { readonly status: string }[]
  }[]
}

/**
 * Counts the tests of a vitest json report. A file that failed without a failed test (it does not compile, its
 * set-up threw) is one failure; so is a run that ended badly although no test failed. null: there is no report.
 */
export const tallyOfVitest = (report: string | null, exitCode: number | null): Tally => {
  if (report === null) return notStarted
  const { success, testResults } = JSON.parse(report) as VitestReport
  const statuses = testResults.flatMap(file => file.assertionResults.map(({ status }) => status))
  const brokenFiles = testResults.filter(
    file => file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed'),
  )
  const passed = statuses.filter(status => status === 'passed').length
  const failed = statuses.filter(status => status === 'failed').length
  return honest(
    { passed, failed: failed + brokenFiles.length, skipped: statuses.length - passed - failed },
    success ? exitCode : 1,
  )
}

/** One step of `npm run check`. */
export interface CheckStep {
  readonly name: string
  readonly ok: boolean
  readonly seconds: number
}

/** Each step counts as one test. null: there is no report. */
export const tallyOfChecks = (report: string | null, exitCode: number | null): Tally => {
  if (report === null) return notStarted
  const steps = JSON.parse(report) as readonly CheckStep[]
  const passed = steps.filter(({ ok }) => ok).length
  return honest({ passed, failed: steps.length - passed, skipped: 0 }, exitCode)
}
