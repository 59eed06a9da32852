import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Secrets } from './secrets.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waymark-secrets-'))
})
afterEach(() => rm(directory, { recursive: true }))

it('finds a secret in its file, else in its variable, as they are now', async () => {
  const secrets = new Secrets({ directory, environment: { WAYMARK_SECRET_MY_KEY: 'variable' } })
  expect(await secrets.read('my-key')).toBe('variable')
  await writeFile(join(directory, 'my-key'), 'file\n')
  expect(await secrets.read('my-key')).toBe('file')
  await writeFile(join(directory, 'my-key'), 'another')
  expect(await secrets.read('my-key')).toBe('another')
})

it('says where it has looked, and shows nothing that it has found', async () => {
  await writeFile(join(directory, 'empty'), ' \n')
  const environment = { WAYMARK_SECRET_OTHER: 'hunter2' }
  for (const name of ['empty', 'nothing']) {
    await expect(new Secrets({ directory, environment }).read(name)).rejects.toThrow(
      `the secret ${name} is not there (looked for in WAYMARK_SECRETS_DIR and WAYMARK_SECRET_${name.toUpperCase()})`,
    )
  }
  await writeFile(join(directory, 'large'), 'x'.repeat(70_000))
  await expect(new Secrets({ directory, environment }).read('large')).rejects.toThrow('64 KiB')
})

it('leads to nothing else than files of the folder and variables with the prefix', async () => {
  const secrets = new Secrets({ directory, environment: { DATABASE_URL: 'x', WAYMARK_SECRET_: 'x' } })
  await writeFile(join(directory, '..', 'waymark-outside'), 'x')
  for (const name of ['../waymark-outside', '/etc/passwd', '..', '.', '', 'A', 'a/b', 'a_b', 'a\0', '-'])
    await expect(secrets.read(name)).rejects.toThrow('is no name of a secret')
  await rm(join(directory, '..', 'waymark-outside'))
})
