// npm run torture [-- --minutes N --seed S]: a randomized workload with faults, its history checked.
import { mkdir, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { rules, type Operation } from './history.ts'
import { runTorture } from './torture.ts'

const usage = 'usage: npm run torture [-- --minutes N --seed S]; N from 0.1 to 1440, S a whole number from 0'
const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '5' }, seed: { type: 'string' } },
})
const minutes = Number(values.minutes)
const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed)
if (!(minutes >= 0.1 && minutes <= 1_440) || !Number.isSafeInteger(seed) || seed < 0)
  throw new RangeError(usage)

const countsOf = (operations: readonly Operation[]): string => {
  const counts = new Map<string, number>()
  for (const { kind, status } of operations) {
    const key = `${kind} ${status ?? 'unanswered'}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, count]) => `  ${key}: ${count}`)
    .join('\n')
}

console.log(
  `seed ${seed}, ${minutes} min; again with: npm run torture -- --minutes ${minutes} --seed ${seed}`,
)
const { history, violations, faults } = await runTorture({
  seed,
  durationMs: minutes * 60_000,
  onFault: ({ kind, forMs }, atMs) => {
    console.log(`  ${(atMs / 1_000).toFixed(1)} s: ${kind}${forMs > 0 ? ` for ${forMs} ms` : ''}`)
  },
})
const revisions = history.logs[0]?.sets.length ?? 0
console.log(`${history.operations.length} operations, ${revisions} revisions, ${faults} faults`)
console.log(countsOf(history.operations))
if (violations.length === 0) console.log('every rule holds')
else {
  await mkdir('.cache', { recursive: true })
  const path = `.cache/torture-${seed}.json`
  await writeFile(path, JSON.stringify(history))
  console.error(`${violations.length} violations; the history is in ${path}`)
  for (const rule of new Set(violations.map(violation => violation.rule)))
    console.error(`  ${rule}: ${rules[rule]}`)
  for (const { rule, detail } of violations.slice(0, 50)) console.error(`  ${rule}: ${detail}`)
  process.exitCode = 1
}
