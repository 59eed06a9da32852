import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const page = readFileSync(join(import.meta.dirname, '../../../docs/reference/xds.md'), 'utf8')
/** Where tests of rules may stand. */
const folders = ['.', '../resources', '../../../e2e/tests'].map(folder => join(import.meta.dirname, folder))
const titles = folders
  .flatMap(folder =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map(file => join(folder, file)),
  )
  .filter(file => file.endsWith('.test.ts'))
  .flatMap(file => [...readFileSync(file, 'utf8').matchAll(/^ *test\(\s*'([^']+)'/gm)])
  .map(([, title]) => title ?? '')
const rows = [...page.matchAll(/^- \*\*(X\d+)\*\* .* Source: .+\.\n((?: {2}- `.*`\n)*)/gm)]
const numbers = Array.from({ length: 25 }, (_, index) => `X${index + 1}`)

test('the reference has an entry and a source for each rule, and each test that it names exists and carries its number', () => {
  expect(rows.map(([, rule]) => rule)).toEqual(numbers)
  for (const [, rule, tests] of rows) {
    const named = [...(tests ?? '').matchAll(/`([^`]+)`/g)].map(([, title]) => title ?? '')
    expect(named.length, rule).toBeGreaterThan(0)
    for (const title of named) {
      expect(titles).toContain(title)
      expect(title.split(' ')).toContain(rule)
    }
  }
})
