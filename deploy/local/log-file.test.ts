import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { finished } from 'node:stream/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { LogFile } from './log-file.ts'

let directory = ''
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waymark-log-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

test('keeps at most two files of the given size, and the last lines in memory', async () => {
  const log = new LogFile({ path: join(directory, 'x.log'), maxBytes: 100, tailLines: 3 })
  for (let index = 100; index < 200; index += 1) log.line(`line ${index}`)
  log.close()
  log.line('after the end')
  expect(log.tail).toEqual(['line 197', 'line 198', 'line 199'])
  const [current, last] = await Promise.all(
    ['x.log', 'x.log.1'].map(name => readFile(join(directory, name), 'utf8')),
  )
  expect(current).toMatch(/line 199\n$/)
  for (const text of [current, last]) expect(text?.length).toBeLessThanOrEqual(110)
})

test('puts lines together however a stream cuts them', async () => {
  let run = 0
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ minLength: 1 })), async chunks => {
      run += 1
      const log = new LogFile({ path: join(directory, `${run}.log`), tailLines: 10_000 })
      const stream = new PassThrough()
      log.follow(stream)
      const text = chunks.join('\n\u00e9')
      const bytes = Buffer.from(text)
      for (let at = 0; at < bytes.length; at += 3) stream.write(bytes.subarray(at, at + 3))
      stream.end()
      await finished(stream)
      log.close()
      expect(log.tail.join('\n')).toBe(text.replace(/\n$/, ''))
    }),
    { numRuns: 50 },
  )
})

test('a line without an end does not grow for ever', async () => {
  const log = new LogFile({ path: join(directory, 'x.log') })
  const stream = new PassThrough()
  log.follow(stream)
  for (let index = 0; index < 20; index += 1) stream.write('x'.repeat(4_096))
  stream.end()
  await finished(stream)
  log.close()
  expect(log.tail.length).toBeGreaterThan(1)
})

test.skipIf(!existsSync('/dev/full'))('a full disk costs lines of the file, not the process', () => {
  const log = new LogFile({ path: '/dev/full' })
  log.line('one')
  log.line('two')
  log.close()
  expect(log.tail).toEqual(['one', 'two'])
})

test('says how many lines are missing once there is room again', async () => {
  const path = join(directory, 'x.log')
  const log = new LogFile({ path, maxBytes: 1 })
  log.line('one')
  // Where the last file should go stands something that cannot be replaced.
  await mkdir(`${path}.1`)
  await writeFile(join(`${path}.1`, 'x'), '')
  log.line('two')
  log.line('three')
  await rm(`${path}.1`, { recursive: true })
  log.line('four')
  log.close()
  expect(await readFile(path, 'utf8')).toBe('(2 lines were lost: they could not be written)\nfour\n')
})
