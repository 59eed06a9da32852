import { readFile, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { controlPlaneEnv, controlPlaneFlags } from '../local/control-plane-node.ts'

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

it('the unit and the image start Node as npm run up does', async () => {
  const unit = await readFile(fileURLToPath(new URL('waymark.service', import.meta.url)), 'utf8')
  expect(unit).toContain(`/node ${controlPlaneFlags.join(' ')} /opt/waymark/`)
  const image = await readFile(`${repository}deploy/images/control-plane.Containerfile`, 'utf8')
  const entrypoint = /^ENTRYPOINT (.*)$/m.exec(image)?.[1] ?? ''
  expect(JSON.parse(entrypoint)).toEqual(['/usr/local/bin/node', ...controlPlaneFlags])
  for (const [name, value] of Object.entries(controlPlaneEnv)) {
    expect(unit).toMatch(new RegExp(`^Environment=${name}=${value}$`, 'm'))
    expect(image).toMatch(new RegExp(`^ +${name}=${value}( |$)`, 'm'))
  }
})
