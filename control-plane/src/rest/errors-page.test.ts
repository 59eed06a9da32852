import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { errorCatalogue, type ErrorCode } from '../domain/errors.ts'

const page = await readFile(new URL('../../../docs/reference/errors.md', import.meta.url), 'utf8')
const sections = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((section): [string, string] => {
      const [heading = '', ...text] = section.split('\n')
      return [heading, text.join('\n')]
    }),
)

describe('docs/reference/errors.md', () => {
  it('has a section for each error of the catalogue, in its order, and no others', () => {
    expect([...sections.keys()]).toEqual(Object.keys(errorCatalogue).map(code => `\`${code}\``))
  })

  it.each(Object.keys(errorCatalogue) as ErrorCode[])(
    'says the status of %s, when it comes and what to do',
    code => {
      const text = sections.get(`\`${code}\``)
      expect(text).toMatch(new RegExp(`^\\s*\\*\\*${errorCatalogue[code].status}\\.\\*\\* \\S`))
      expect(text).toMatch(/\*\*What to do:\*\* \S/)
    },
  )
})
