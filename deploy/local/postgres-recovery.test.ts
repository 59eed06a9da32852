import { expect, test } from 'vitest'
import { judgePostmaster, parsePostmasterFile } from './postgres-recovery.ts'

const file = { pid: 4_711, directory: '/data/postgres', port: 5_433 }
const command = '/x/native/bin/postgres -D /data/postgres -p 5433 -c fsync=on'

test('reads the pid file of Postgres, also of a single-user server', () => {
  const text = '4711\n/data/postgres\n1700000000\n5433\n\n127.0.0.1\n  1234  56\nready   \n'
  expect(parsePostmasterFile(text)).toEqual(file)
  expect(parsePostmasterFile('-4711\n/data/postgres\n1700000000\n')).toEqual({ ...file, port: 0 })
})

test.each(['', '\n', 'garbage\n/data\n1\n2\n'])('a broken pid file is none: %j', text => {
  expect(parsePostmasterFile(text)).toBeNull()
})

test('stops only a server that verifiably runs on this cluster', () => {
  expect(judgePostmaster(file, '/data/postgres', command)).toBe('stop')
})

test.each([
  ['the process has ended', '/data/postgres', null],
  ['the pid belongs to another program now', '/data/postgres', 'vim notes.txt'],
  ['the pid belongs to a Postgres elsewhere', '/data/postgres', 'postgres -D /data/postgres2 -p 1 -c x=y'],
  ['the file was copied from elsewhere', '/copy/postgres', command],
])('leaves a process alone: %s', (_case, directory, running) => {
  expect(judgePostmaster(file, directory, running)).toBe('discard')
})
