import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { identifyProcess, isSameProcess, parseProcStat } from './process-identity.ts'
import { claimDataDir, survivors } from './run-lock.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const temporary = async (): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), 'waymark-run-'))
  cleanups.push(() => rm(path, { recursive: true, force: true }))
  return path
}

const sleeper = async (): Promise<{ pid: number; started: string }> => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000); console.log("up")'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  cleanups.push(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  const identity = identifyProcess(child.pid ?? 0)
  if (identity === null) throw new Error('the child has ended')
  return identity
}

const claim = (dataDir: string, notices: string[] = []): ReturnType<typeof claimDataDir> =>
  claimDataDir({ dataDir, patienceMs: 300, onNotice: text => notices.push(text) })

test('a second run on the same data directory is refused by name until the first lets go', async () => {
  const dataDir = await temporary()
  const lock = await claim(dataDir)
  await expect(claim(dataDir)).rejects.toThrow(`pid ${process.pid}`)
  lock.release()
  const again = await claim(dataDir)
  again.release()
})

test('a run that is just ending is waited for', async () => {
  const dataDir = await temporary()
  const lock = await claim(dataDir)
  const next = claim(dataDir)
  lock.release()
  const second = await next
  second.release()
})

test('of many runs at once exactly one gets the directory, also when a stale lock is in the way', async () => {
  const dataDir = await temporary()
  await writeFile(join(dataDir, 'run.lock'), JSON.stringify({ pid: process.pid, started: 'long ago' }))
  const claims = await Promise.allSettled(Array.from({ length: 8 }, () => claim(dataDir)))
  expect(claims.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
})

test.each(['', 'not json', '{}', '[1, 2]'])('a broken lock or journal is no obstacle: %j', async text => {
  const dataDir = await temporary()
  for (const name of ['run.lock', 'run.json']) await writeFile(join(dataDir, name), text)
  const lock = await claim(dataDir)
  lock.release()
})

test('ends what a killed run left, and nobody who merely has such a pid now', async () => {
  const dataDir = await temporary()
  const [orphan, stranger] = [await sleeper(), await sleeper()]
  const journal = [
    { name: 'orders-1', ...orphan },
    { name: 'orders-2', pid: stranger.pid, started: 'before the pid was used again' },
  ]
  await writeFile(join(dataDir, 'run.json'), JSON.stringify(journal))
  const notices: string[] = []
  const lock = await claim(dataDir, notices)
  expect(isSameProcess(orphan)).toBe(false)
  expect(isSameProcess(stranger)).toBe(true)
  expect(notices).toEqual([expect.stringContaining('left orders-1:')])
  expect(JSON.parse(await readFile(join(dataDir, 'run.json'), 'utf8'))).toEqual([])
  lock.release()
})

test('survivors are only well-formed entries of processes that run', () => {
  const entries = [{ name: 'a', pid: 1, started: 'x' }, { pid: 2, started: 'x' }, null, 3, { name: 'b' }]
  expect(survivors(entries, () => true)).toEqual([entries[0]])
  expect(survivors(entries, () => false)).toEqual([])
  expect(survivors('[]', () => true)).toEqual([])
})

test('reads the state and start time of a process whose name has brackets and spaces', () => {
  const numbers = Array.from({ length: 30 }, (_, index) => String(index + 4)).join(' ')
  expect(parseProcStat(`7 (a) b (c) S ${numbers}`)).toEqual({ state: 'S', started: '22' })
})
