import { PassThrough } from 'node:stream'
import { expect, it } from 'vitest'
import { systemTerminal } from './terminal.ts'

it('ends the command when the reader of its output goes', () => {
  const stdout = new PassThrough()
  const exits: unknown[] = []
  const terminal = systemTerminal({
    stdin: process.stdin,
    stderr: process.stderr,
    env: {},
    stdout: stdout as unknown as NodeJS.Process['stdout'],
    exit: code => {
      exits.push(code)
      return undefined as never
    },
  })
  terminal.out('one')
  expect(String(stdout.read())).toBe('one\n')
  expect(exits).toEqual([])
  stdout.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
  expect(exits).toEqual([undefined])
  expect(() => stdout.emit('error', new Error('the disk is full'))).toThrow('the disk is full')
})
