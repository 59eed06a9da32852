/** Control characters and escape sequences out of answers must not reach a terminal. */
export const printable = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')

export interface TableOptions {
  /** Colours a cell, padded already; rows and columns count from 0. */
  readonly paint?: (text: string, at: { readonly row: number; readonly column: number }) => string
}

/**
 * Rows under headings, columns aligned by two spaces, the last one as long as it is. Without rows: `empty`.
 */
export const table = (
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  empty = 'none',
  { paint }: TableOptions = {},
): string => {
  if (rows.length === 0) return empty
  const cells = [headings.map(heading => heading.toUpperCase()), ...rows.map(row => row.map(printable))]
  const widths = headings.map((_, column) => Math.max(...cells.map(row => (row[column] ?? '').length)))
  return cells
    .map((row, n) => {
      const last = row.length - 1
      return row
        .map((cell, column) => {
          const padded = column === last ? cell : cell.padEnd(widths[column] ?? 0)
          return n === 0 || paint === undefined ? padded : paint(padded, { row: n - 1, column })
        })
        .join('  ')
        .trimEnd()
    })
    .join('\n')
}

/** `12s`, `3m`, `2h`, `5d`: how long ago `then` was at `now` (ISO 8601, or `now` in ms); `0s` for the future. */
export const ago = (then: string, now: string | number): string => {
  const end = typeof now === 'number' ? now : Date.parse(now)
  const seconds = Math.max(0, Math.round((end - Date.parse(then)) / 1_000))
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)}m`
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)}h`
  return `${Math.round(seconds / 86_400)}d`
}
