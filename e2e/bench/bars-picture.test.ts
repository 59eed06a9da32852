import { expect, test } from 'vitest'
import { drawBars, drawn, drawPage, readBars, timesOf } from './bars-picture.ts'

const table = (...rows: string[]): string =>
  [
    'Words.',
    '',
    '| benchmark | what counts | bar | seen |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    'More.',
  ].join('\n')

test('a bar is read with its direction, its digits and its unit', () => {
  const [bar] = readBars(table('| `bulk` | instances | at least 30,000 /s | 12,500.5 /s |'))
  expect(bar).toEqual({
    benchmark: 'bulk',
    what: 'instances',
    atLeast: true,
    bar: 30_000,
    seen: 12_500.5,
    unit: '/s',
  })
})

test('more than 1 is better than the bar, in both directions', () => {
  const read = (row: string) => readBars(table(row)).map(timesOf)
  expect(read('| a | b | at least 10 /s | 20 /s |')).toEqual([2])
  expect(read('| a | b | at most 10 ms | 20 ms |')).toEqual([0.5])
  expect(read('| a | b | at most 0 bytes | 0 bytes |')).toEqual([1])
})

test('what cannot be compared is refused', () => {
  expect(() => readBars(table('| a | b | at most 1 s | 459 ms |'))).toThrow('different units')
  expect(() => readBars(table('| a | b | about 1 s | 1 s |'))).toThrow('is no amount')
  expect(() => readBars('no table')).toThrow('no table of bars')
})

test('text is escaped, and missed bars are counted', () => {
  const svg = drawBars(
    readBars(table('| a | x < y & z | at most 1 s | 2 s |', '| a | b | at most 1 s | 1 s |')),
  )
  expect(svg).toContain('x &lt; y &amp; z')
  expect(svg).toContain('1 of 2 bars are met')
})

test('the picture in docs is that of the table in docs', () => {
  expect(drawn()).toBe(drawPage())
})
