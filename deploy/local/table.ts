import { stripVTControlCharacters, styleText } from 'node:util'

export interface ServiceRow {
  readonly service: string
  /** verdict -> instances; only verdicts that occur. */
  readonly verdicts: ReadonlyMap<string, number>
  /** null: the control plane cannot tell now. */
  readonly sidecars: { readonly inSync: number; readonly expected: number } | null
  /** null: not measured yet. */
  readonly requestsPerSecond: number | null
}

export interface ModeRow {
  readonly capability: string
  readonly mode: string
  readonly evidence: string
  readonly endsWhen: string | null
}

/** What is shown of the mesh at one moment. */
export interface Snapshot {
  /** null: the control plane does not answer. */
  readonly revision: number | null
  readonly modes: readonly ModeRow[]
  readonly services: readonly ServiceRow[]
}

export type Paint = (style: 'green' | 'yellow' | 'red' | 'dim' | 'bold', text: string) => string

export const terminalPaint: Paint = (style, text) => styleText(style, text)
export const plainPaint: Paint = (_style, text) => text

/** From best to worst, as the verdict function ranks them. */
const order = ['healthy', 'unknown', 'degraded', 'draining', 'maintenance', 'unhealthy']

const paintOf = (verdict: string): 'green' | 'yellow' | 'red' =>
  verdict === 'healthy' ? 'green' : verdict === 'unhealthy' ? 'red' : 'yellow'

export const formatVerdicts = (verdicts: ReadonlyMap<string, number>, paint: Paint): string => {
  const known = [...verdicts].filter(([, count]) => count > 0)
  if (known.length === 0) return paint('red', 'none')
  const rank = (verdict: string): number => (order.includes(verdict) ? order.indexOf(verdict) : order.length)
  return known
    .sort(([a], [b]) => rank(a) - rank(b))
    .map(([verdict, count]) => paint(paintOf(verdict), `${count} ${verdict}`))
    .join(', ')
}

const formatSync = ({ sidecars }: ServiceRow, paint: Paint): string => {
  if (sidecars === null) return paint('yellow', 'not known')
  const text = `${sidecars.inSync} of ${sidecars.expected}`
  return paint(sidecars.inSync === sidecars.expected ? 'green' : 'yellow', text)
}

const widthOf = (text: string): number => stripVTControlCharacters(text).length

/** Columns as wide as their widest cell. */
export const alignColumns = (rows: readonly (readonly string[])[]): string[] => {
  const widths: number[] = []
  for (const row of rows)
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, widthOf(cell))
    })
  return rows.map(row =>
    row
      .map((cell, column) =>
        column === row.length - 1 ? cell : cell + ' '.repeat((widths[column] ?? 0) - widthOf(cell)),
      )
      .join('   '),
  )
}

/** `target`, or each capability that is in another mode and why; with `end`, also what ends it. */
const formatMode = ({ revision, modes }: Snapshot, paint: Paint, end = true): string[] => {
  if (revision === null) return [paint('red', 'the control plane does not answer')]
  const other = modes.filter(({ mode }) => mode !== 'target')
  if (other.length === 0) return [paint('green', 'target')]
  return other.map(
    ({ capability, mode, evidence, endsWhen }) =>
      `${paint('yellow', `${capability}: ${mode}`)}, ${evidence}${!end || endsWhen === null ? '' : ` (until ${endsWhen.replace(/^at /, '')})`}`,
  )
}

export const renderTable = (snapshot: Snapshot, paint: Paint): string[] => {
  const head = ['service', 'instances', 'sidecars in sync', 'requests/s'].map(title => paint('bold', title))
  const rows = snapshot.services.map(row => [
    row.service,
    formatVerdicts(row.verdicts, paint),
    formatSync(row, paint),
    row.requestsPerSecond === null ? '-' : row.requestsPerSecond.toFixed(0),
  ])
  const [first = '', ...rest] = formatMode(snapshot, paint)
  const revision = snapshot.revision === null ? '' : paint('dim', `   revision ${snapshot.revision}`)
  const table = snapshot.services.length === 0 ? [] : ['', ...alignColumns([head, ...rows])]
  return [`${paint('bold', 'mode')}  ${first}${revision}`, ...rest.map(text => `      ${text}`), ...table]
}

/** For plain output: a line per service or mode that is not as it was. Rates change all the time and do not count. */
export const describeChanges = (before: Snapshot | null, now: Snapshot): string[] => {
  const lines: string[] = []
  // What ends a mode may be a time that moves on.
  const mode = (snapshot: Snapshot): string => formatMode(snapshot, plainPaint, false).join(' | ')
  if (before === null || mode(before) !== mode(now)) lines.push(`mode: ${mode(now)}`)
  const text = (row: ServiceRow): string =>
    `${row.service}: ${formatVerdicts(row.verdicts, plainPaint)}; sidecars in sync ${formatSync(row, plainPaint)}`
  const known = new Set(before?.services.map(text))
  return [...lines, ...now.services.map(text).filter(line => !known.has(line))]
}
