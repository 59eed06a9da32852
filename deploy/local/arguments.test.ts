import { expect, test } from 'vitest'
import { parseUpArguments, usage } from './arguments.ts'

test('everything is on without arguments; each option does one thing', () => {
  const defaults = { samples: true, traffic: true, smoke: false, help: false }
  expect(parseUpArguments([])).toEqual(defaults)
  expect(parseUpArguments(['--no-samples'])).toEqual({ ...defaults, samples: false })
  expect(parseUpArguments(['--no-traffic', '--smoke'])).toEqual({ ...defaults, traffic: false, smoke: true })
  expect(parseUpArguments(['-h'])).toEqual({ ...defaults, help: true })
})

test.each([[['--sample']], [['web']], [['--smoke=3']], [['--smoke', '--no-samples']]])(
  '%j is refused',
  args => {
    expect(() => parseUpArguments(args)).toThrow(/--|web/)
  },
)

test('the help names every option', () => {
  for (const option of ['--no-samples', '--no-traffic', '--smoke', '--help']) expect(usage).toContain(option)
})
