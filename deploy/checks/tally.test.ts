import { expect, test } from 'vitest'
import { addTallies, formatTally, tallyOfChecks, tallyOfLastLine, tallyOfVitest } from './tally.ts'

const vitest = (
  files: readonly { readonly status: string; readonly tests: readonly string[] }[],
  success = true,
): string =>
  JSON.stringify({
    success,
    testResults: files.map(({ status, tests }) => ({
      status,
      assertionResults: tests.map(each => ({ status: each })),
    })),
  })

test('tests are counted by their outcome; todo, pending and skipped are all skipped', () => {
  const report = vitest(
    [
      { status: 'passed', tests: ['passed', 'passed', 'skipped', 'todo', 'pending'] },
      { status: 'failed', tests: ['passed', 'failed'] },
    ],
    false,
  )
  expect(tallyOfVitest(report, 1)).toEqual({ passed: 3, failed: 1, skipped: 3 })
})

test('a file that fails without a failed test is a failure', () => {
  const report = vitest(
    [
      { status: 'failed', tests: [] },
      { status: 'passed', tests: ['passed'] },
    ],
    false,
  )
  expect(tallyOfVitest(report, 1)).toEqual({ passed: 1, failed: 1, skipped: 0 })
})

test.each([
  ['there is no report', null, 0],
  ['nothing was tested', vitest([]), 0],
  ['everything was skipped', vitest([{ status: 'skipped', tests: ['skipped'] }]), 0],
  ['an error was outside of any test', vitest([{ status: 'passed', tests: ['passed'] }], false), 0],
  ['the program ended badly', vitest([{ status: 'passed', tests: ['passed'] }]), 1],
  ['the program was killed', vitest([{ status: 'passed', tests: ['passed'] }]), null],
])('a run of vitest has a failure when %s', (_, report, exitCode) => {
  expect(tallyOfVitest(report, exitCode).failed).toBe(1)
})

test('the last line of a program is its tally', () => {
  const output = 'story 1\n1 passed, 1 failed, 0 skipped\nmore\n7 passed, 2 failed, 1 skipped\n'
  expect(tallyOfLastLine(output, 1)).toEqual({ passed: 7, failed: 2, skipped: 1 })
})

test.each([
  ['no such line', 'npm error Missing script\n', 1],
  ['something behind it', '1 passed, 0 failed, 0 skipped\nError\n', 0],
  ['nothing tested', '0 passed, 0 failed, 4 skipped\n', 0],
  ['a bad end', '4 passed, 0 failed, 0 skipped\n', 1],
])('a program with %s has a failure', (_, output, exitCode) => {
  expect(tallyOfLastLine(output, exitCode).failed).toBe(1)
})

test('each check counts as one test', () => {
  const report = JSON.stringify([
    { name: 'types', ok: true, seconds: 1 },
    { name: 'lint', ok: false, seconds: 1 },
  ])
  expect(tallyOfChecks(report, 1)).toEqual({ passed: 1, failed: 1, skipped: 0 })
  expect(tallyOfChecks(null, 1).failed).toBe(1)
  expect(tallyOfChecks('[]', 0).failed).toBe(1)
})

test('tallies add up to one line', () => {
  const sum = addTallies([
    { passed: 1, failed: 2, skipped: 3 },
    { passed: 10, failed: 20, skipped: 30 },
  ])
  expect(formatTally(sum)).toBe('11 passed, 22 failed, 33 skipped')
})
