// `npm run check`: runs every `check:*` script of package.json and says how long each took. All of them run, so
// that one look shows everything that is wrong. WAYMARK_CHECK_REPORT names a file for the result as JSON.
import { readFileSync, writeFileSync } from 'node:fs'
import { runCommand } from '../local/run-command.ts'
import type { CheckStep } from './tally.ts'

const atOnce = 2
const longestFirst = ['lint', 'types']
const timeoutMs = 10 * 60_000

const scripts = Object.keys(
  (JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> }).scripts,
)
const rank = (name: string): number => longestFirst.indexOf(name) + 1 || longestFirst.length + 1
const waiting = scripts
  .filter(script => script.startsWith('check:'))
  .map(script => script.slice('check:'.length))
  .sort((a, b) => rank(a) - rank(b))

const runStep = async (name: string): Promise<CheckStep> => {
  const started = performance.now()
  const result = await runCommand({ command: 'npm', args: ['run', '--silent', `check:${name}`], timeoutMs })
  const seconds = (performance.now() - started) / 1_000
  const ok = result.code === 0
  const output = `${result.stdout}${result.stderr}${result.failure ?? ''}`.trim()
  console.log(`${ok ? '✓' : '✗'} ${name.padEnd(10)} ${seconds.toFixed(1).padStart(6)} s`)
  if (output !== '') console.log(output.replaceAll(/^/gm, '    '))
  return { name, ok, seconds }
}

const started = performance.now()
const steps: CheckStep[] = []
const worker = async (): Promise<void> => {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) steps.push(await runStep(name))
}
await Promise.all(Array.from({ length: atOnce }, worker))

const failed = steps.filter(({ ok }) => !ok).map(({ name }) => name)
const seconds = ((performance.now() - started) / 1_000).toFixed(1)
console.log(
  failed.length === 0 ? `check passed in ${seconds} s` : `check failed in ${seconds} s: ${failed.join(', ')}`,
)
const report = process.env['WAYMARK_CHECK_REPORT']
if (report !== undefined) writeFileSync(report, JSON.stringify(steps))
process.exitCode = failed.length === 0 ? 0 : 1
