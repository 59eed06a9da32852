/** Breaks text at spaces into lines of at most `width`, the first as it is, the others indented; a longer word stays whole. */
export const wrap = (
  text: string,
  { width, indent }: { readonly width: number | undefined; readonly indent: string },
): string => {
  if (width === undefined || text.length <= width) return text
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/(?<=\S) +/)) {
    const longer = line === '' ? word : `${line} ${word}`
    if (longer.length <= width || line === '') line = longer
    else {
      lines.push(line)
      line = `${indent}${word}`
    }
  }
  return [...lines, line].join('\n')
}
