import { mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { systemClock } from './clock.ts'
import { silentLogger } from './logger.ts'
import { ReloadedFiles } from './reloaded-files.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waymark-files-'))
  onTestFinished(() => rm(folder, { recursive: true }))
})
const path = (name: string): string => join(folder, name)

/** Reads `a` and `b` as a list of texts; "bad" is no good. */
const reload = async (paths: readonly string[] = [path('a'), path('b')]) => {
  const problems: string[] = []
  const values: string[][] = []
  const logger = {
    ...silentLogger,
    error: (fields: object) => problems.push('reason' in fields ? String(fields.reason) : ''),
  }
  const files = await ReloadedFiles.open({
    name: 'test',
    paths,
    clock: systemClock,
    logger,
    parse: contents => {
      const texts = contents.map(String)
      if (texts.includes('bad')) throw new Error('it is bad')
      return texts
    },
  })
  files.onChange(value => values.push(value))
  return { files, problems, values }
}
const write = (a: string, b: string) => Promise.all([writeFile(path('a'), a), writeFile(path('b'), b)])

test('a value follows its files, and is the same object while they are the same', async () => {
  await write('1', '2')
  const { files, values, problems } = await reload()
  const first = files.value
  await files.check()
  expect(files.value).toBe(first)
  await writeFile(path('b'), '3')
  await files.check()
  expect(values).toEqual([['1', '3']])
  expect(files.value).toEqual(['1', '3'])
  expect(problems).toEqual([])
})

test('files that are no good change nothing and are told once', async () => {
  await write('1', '2')
  const { files, values, problems } = await reload()
  const tell = async (count: number) => {
    await files.check()
    await files.check()
    expect(problems.length).toBe(count)
    expect(files.value).toEqual(['1', '2'])
  }
  await writeFile(path('a'), 'bad')
  await tell(1)
  await rm(path('a'))
  await tell(2)
  await writeFile(path('a'), 'bad')
  await tell(2)
  await rm(path('a'))
  await tell(3)
  await writeFile(path('a'), '')
  await truncate(path('a'), 9 * 1024 * 1024)
  await tell(4)
  expect(values).toEqual([])
  await writeFile(path('a'), 'good')
  await files.check()
  expect(values).toEqual([['good', '2']])
})

test('links that are exchanged are followed, as of mounted secrets', async () => {
  for (const version of ['1', '2']) {
    await mkdir(path(version))
    await writeFile(join(path(version), 'token'), version)
  }
  await symlink('1', path('data'))
  await symlink('data/token', path('token'))
  const { files } = await reload([path('token')])
  await symlink('2', path('next'))
  await rename(path('next'), path('data'))
  await files.check()
  expect(files.value).toEqual(['2'])
})

test('the first reading must succeed', async () => {
  await expect(reload()).rejects.toThrow('ENOENT')
  await write('bad', '')
  await expect(reload()).rejects.toThrow('it is bad')
})

test('the loop looks again and again until it is told to end', async () => {
  await write('1', '2')
  const stop = new AbortController()
  const quick = await ReloadedFiles.open({
    name: 'quick',
    paths: [path('a')],
    clock: systemClock,
    logger: silentLogger,
    parse: contents => contents.map(String),
    everyMs: 1,
  })
  const seen = new Promise(resolve => quick.onChange(resolve))
  const running = quick.start(stop.signal)
  await writeFile(path('a'), '4')
  await seen
  stop.abort()
  await running
})
