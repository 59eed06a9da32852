/** Draws the table of bars in docs/performance.md as docs/images/bars.svg: `node e2e/bench/bars-picture.ts`. */
import { readFileSync, writeFileSync } from 'node:fs'

/** A row of the table: what was asked for and what was seen, in one unit. */
export interface Bar {
  readonly benchmark: string
  readonly what: string
  readonly atLeast: boolean
  readonly bar: number
  readonly seen: number
  readonly unit: string
}

const page = new URL('../../docs/performance.md', import.meta.url)
const picture = new URL('../../docs/images/bars.svg', import.meta.url)

/** `12,000 us` is 12,000 of `us`. */
const amount = (text: string): { value: number; unit: string } => {
  const [, digits = '', unit = ''] = /^([\d,.]+)\s*(.*)$/.exec(text) ?? []
  const value = Number(digits.replaceAll(',', ''))
  if (digits === '' || !Number.isFinite(value)) throw new Error(`"${text}" is no amount`)
  return { value, unit }
}

/** The rows of a table with the heads benchmark, what counts, bar and seen. Throws when one cannot be read. */
export const readBars = (markdown: string): Bar[] => {
  const lines = markdown.split('\n')
  const head = lines.findIndex(line => /^\| *benchmark *\| *what counts *\| *bar *\| *seen *\|/.test(line))
  if (head < 0) throw new Error('there is no table of bars')
  const end = lines.findIndex((line, index) => index > head && !line.startsWith('|'))
  return lines.slice(head + 2, end < 0 ? undefined : end).map(line => {
    const [benchmark = '', what = '', bar = '', seen = ''] = line
      .split('|')
      .slice(1)
      .map(cell => cell.trim())
    const [, bound = '', limit = ''] = /^(at least|at most) (.*)$/.exec(bar) ?? []
    const [asked, found] = [amount(limit), amount(seen)]
    if (asked.unit !== found.unit) throw new Error(`${what}: "${bar}" and "${seen}" have different units`)
    return {
      benchmark: benchmark.replaceAll('`', ''),
      what,
      atLeast: bound === 'at least',
      bar: asked.value,
      seen: found.value,
      unit: asked.unit,
    }
  })
}

/** How often what was seen has what was asked for: 1 is the bar itself, more is better. */
export const timesOf = ({ atLeast, bar, seen }: Bar): number => {
  // Nothing where nothing is allowed is the bar exactly.
  if (seen === bar) return 1
  return atLeast ? seen / bar : bar / seen
}

const [left, right, rowHeight, top] = [470, 900, 24, 76] as const
/** The scale goes from a quarter of the bar to sixteen times. */
const [lowest, highest] = [-2, 4]
const across = (times: number): number =>
  left +
  ((Math.min(highest, Math.max(lowest, Math.log2(times))) - lowest) / (highest - lowest)) * (right - left)
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
const number = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 3 })

const row = (bar: Bar, index: number): string => {
  const y = top + index * rowHeight
  const [from, to] = [across(1), across(timesOf(bar))]
  const color = timesOf(bar) >= 1 ? '#047857' : '#c2410c'
  const beyond = to === left || to === right
  const end = beyond
    ? `<path d="M${to.toFixed(1)} ${y - 6}l${to > from ? 9 : -9} 6l${to > from ? -9 : 9} 6z" fill="${color}"/>`
    : `<circle cx="${to.toFixed(1)}" cy="${y}" r="5" fill="${color}"/>`
  const values = `${number(bar.seen)} ${bar.unit} (${bar.atLeast ? '≥' : '≤'} ${number(bar.bar)})`
  return `<text x="20" y="${y + 4}" fill="#64748b" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace">${escaped(bar.benchmark)}</text>
<text x="112" y="${y + 4}" fill="#0f172a">${escaped(bar.what)}</text>
<path d="M${from.toFixed(1)} ${y}H${to.toFixed(1)}" stroke="${color}" stroke-width="3"/>${end}
<text x="${right + 16}" y="${y + 4}" fill="${color}">${escaped(values)}</text>`
}

/** One line for each bar, from the bar itself to what was seen: to the right what is better, to the left what is worse. */
export const drawBars = (bars: readonly Bar[]): string => {
  const bottom = top + bars.length * rowHeight - 8
  const marks = [0.25, 0.5, 1, 2, 4, 8, 16].map(times => {
    const [x, strong] = [across(times).toFixed(1), times === 1]
    const label = strong ? 'the bar' : `${times < 1 ? `1/${1 / times}` : times}x`
    return `<path d="M${x} ${top - 18}V${bottom}" stroke="${strong ? '#0f172a' : '#e2e8f0'}" stroke-width="${strong ? 1.5 : 1}"/><text x="${x}" y="${top - 26}" fill="${strong ? '#0f172a' : '#64748b'}" text-anchor="middle">${label}</text>`
  })
  const met = bars.filter(bar => timesOf(bar) >= 1).length
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1120 ${bottom + 16}" width="1120" height="${bottom + 16}" role="img" aria-label="What was seen against each bar: ${met} of ${bars.length} are met" font-family="Inter, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="13">
<rect width="100%" height="100%" rx="12" fill="#ffffff"/>
<text x="20" y="30" font-size="16" font-weight="600" fill="#0f172a">${met} of ${bars.length} bars are met; to the right is better</text>
${[...marks, ...bars.map(row)].join('\n')}
</svg>
`
}

/** As the table has it. */
export const drawPage = (): string => drawBars(readBars(readFileSync(page, 'utf8')))

/** What is in docs. */
export const drawn = (): string => readFileSync(picture, 'utf8')

if (process.argv[1] === import.meta.filename) writeFileSync(picture, drawPage())
