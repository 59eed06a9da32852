import { readFileSync } from 'node:fs'
import { capabilities, type Capability } from '@waymark/control-plane/domain/mode.ts'

export type Modes = Readonly<Record<Capability, string>>

/** The table of faults in docs/reference/modes.md: the modes that hold while each lasts. */
export const readFaultTable = (): ReadonlyMap<string, Modes> => {
  const page = readFileSync(new URL('../../../docs/reference/modes.md', import.meta.url), 'utf8')
  const [head, , ...rows] = page.slice(page.indexOf('| fault ')).split('\n')
  const cells = (row = ''): string[] =>
    row
      .split('|')
      .slice(1, -1)
      .map(cell => cell.trim().replaceAll('`', ''))
  const [, ...columns] = cells(head)
  if (columns.slice(0, -1).join() !== capabilities.join())
    throw new Error(`the table of faults has the columns ${columns.join()}`)
  return new Map(
    rows
      .filter(row => row.startsWith('|'))
      .map(row => {
        const [fault = '', ...modes] = cells(row)
        const pairs = capabilities.map((capability, index) => [capability, modes[index] ?? ''] as const)
        return [fault, Object.fromEntries(pairs) as Modes]
      }),
  )
}
