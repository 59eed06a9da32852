import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { goldenCases } from './golden-cases.ts'

// UPDATE_GOLDEN=1 writes the files anew; what changed is then in the diff to be reviewed.
const directory = join(import.meta.dirname, '../../golden')
const update = process.env['UPDATE_GOLDEN'] === '1'
const cases = goldenCases()

describe('golden files', () => {
  if (update) {
    for (const file of readdirSync(directory)) rmSync(join(directory, file))
    for (const { name, json } of cases)
      writeFileSync(join(directory, `${name}.json`), `${JSON.stringify(json, null, 2)}\n`)
  }

  it.each(cases)('$name is built as its file says', ({ name, json }) => {
    expect(json).toEqual(JSON.parse(readFileSync(join(directory, `${name}.json`), 'utf8')))
  })

  it('each file has its case', () => {
    const names = cases.map(({ name }) => `${name}.json`)
    expect(new Set(names).size).toBe(names.length)
    expect(readdirSync(directory).sort()).toEqual(names.sort())
  })
})
