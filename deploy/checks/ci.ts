// What `.ci/run` runs: every check and every test, each shown while it runs, none skipped because one before it
// failed. Writes `N passed, N failed, N skipped` into the file named by its argument.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  addTallies,
  formatTally,
  tallyOfChecks,
  tallyOfLastLine,
  tallyOfVitest,
  type Tally,
} from './tally.ts'

interface Step {
  readonly title: string
  readonly npm: readonly string[]
  readonly minutes: number
  readonly env?: Readonly<Record<string, string>>
  readonly tally: (output: string, exitCode: number | null) => Tally
}

const [summary] = process.argv.slice(2)
if (summary === undefined) throw new Error('usage: ci.ts SUMMARY_FILE')

const reports = mkdtempSync(join(tmpdir(), 'waymark-ci-'))
const checkReport = join(reports, 'check.json')
const testReport = join(reports, 'vitest.json')
const read = (file: string): string | null => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

const steps: readonly Step[] = [
  {
    title: 'npm run check',
    npm: ['run', 'check'],
    minutes: 15,
    env: { WAYMARK_CHECK_REPORT: checkReport },
    tally: (_, exitCode) => tallyOfChecks(read(checkReport), exitCode),
  },
  {
    title: 'npm test',
    npm: ['test', '--', '--reporter=default', '--reporter=json', `--outputFile.json=${testReport}`],
    minutes: 25,
    tally: (_, exitCode) => tallyOfVitest(read(testReport), exitCode),
  },
  {
    title: 'npm run e2e:containers',
    npm: ['run', 'e2e:containers'],
    minutes: 40,
    tally: tallyOfLastLine,
  },
]

/** Shows what the step says and keeps the end of its standard output. */
const runStep = async ({
  npm,
  minutes,
  env = {},
}: Step): Promise<{ output: string; code: number | null }> => {
  const child = spawn('npm', npm, {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
    env: { ...process.env, ...env },
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output = (output + chunk).slice(-4_096)
    process.stdout.write(chunk)
  })
  const end = (): void => {
    if (child.pid === undefined) return
    console.log(`\n✗ ended after ${minutes} minutes`)
    process.kill(-child.pid, 'SIGKILL')
  }
  const timer = setTimeout(end, minutes * 60_000)
  const code = await new Promise<number | null>(resolve => {
    child.once('error', error => {
      console.log(`✗ could not be started: ${error.message}`)
      resolve(null)
    })
    child.once('close', resolve)
  })
  clearTimeout(timer)
  return { output, code }
}

const results: { readonly title: string; readonly tally: Tally; readonly seconds: number }[] = []
for (const step of steps) {
  console.log(`\n── ${step.title} ${'─'.repeat(60 - step.title.length)}\n`)
  const started = performance.now()
  const { output, code } = await runStep(step)
  const seconds = (performance.now() - started) / 1_000
  results.push({ title: step.title, tally: step.tally(output, code), seconds })
}
rmSync(reports, { recursive: true, force: true })

console.log('')
for (const { title, tally, seconds } of results) {
  console.log(`${title.padEnd(24)} ${seconds.toFixed(0).padStart(5)} s   ${formatTally(tally)}`)
}
const total = addTallies(results.map(({ tally }) => tally))
writeFileSync(summary, formatTally(total))
process.exitCode = total.failed === 0 ? 0 : 1
