import { readFile, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const repository = fileURLToPath(new URL('../..', import.meta.url))

it('the unit starts what a clone in /opt/waymark has, as nobody in particular', async () => {
  const unit = await readFile(fileURLToPath(new URL('waymark.service', import.meta.url)), 'utf8')
  const paths = [...unit.matchAll(/(?<==|\s)\/opt\/waymark\/(\S+)/g)].map(([, path]) => path ?? '')
  expect(paths).toHaveLength(2)
  for (const path of paths) expect((await stat(repository + path)).isFile()).toBe(true)
  expect(unit).toMatch(/^DynamicUser=yes$/m)
  expect(unit).toMatch(/^NoNewPrivileges=yes$/m)
  expect(unit).toMatch(/^CapabilityBoundingSet=$/m)
  expect(unit).toMatch(/^ProtectSystem=strict$/m)
})
