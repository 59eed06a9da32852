// Reports source files that have grown too long to be read in one sitting.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const limit = 350
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.ts', '*.mjs'], {
  encoding: 'utf8',
})
  .split('\n')
  .filter(file => file !== '' && !file.endsWith('.test.ts'))
const lengths = files
  .flatMap(file => {
    try {
      return [{ file, lines: readFileSync(file, 'utf8').split('\n').length - 1 }]
    } catch {
      return [] // deleted, not committed yet
    }
  })
  .sort((a, b) => b.lines - a.lines)
const median = lengths[Math.floor(lengths.length / 2)]?.lines ?? 0
const long = lengths.filter(({ lines }) => lines > limit)
console.log(
  `file length: ${lengths.length} source files, median ${median} lines, longest ${lengths[0]?.lines ?? 0}`,
)
for (const { file, lines } of long) console.log(`  ${lines} lines (limit ${limit}): ${file}`)
if (long.length > 0) process.exitCode = 1
