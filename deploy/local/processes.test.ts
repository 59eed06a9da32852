import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { identifyProcess, isSameProcess } from './process-identity.ts'
import { Supervisor, type ManagedProcess, type SupervisorOptions } from './processes.ts'
import { waitFor } from './wait.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const supervise = async (options: Partial<SupervisorOptions> = {}): Promise<Supervisor> => {
  const logDir = await mkdtemp(join(tmpdir(), 'waymark-processes-'))
  cleanups.push(() => rm(logDir, { recursive: true, force: true }))
  const supervisor = new Supervisor({ logDir, ...options })
  cleanups.push(() => {
    supervisor.killAllNow()
  })
  return supervisor
}

const run = (supervisor: Supervisor, name: string, group: string, script: string): ManagedProcess =>
  supervisor.start({ name, group, command: process.execPath, args: ['-e', script], env: {} })

const says = (one: ManagedProcess, text: string): Promise<boolean> =>
  waitFor(() => one.log.tail.includes(text), { what: text, timeoutMs: 10_000 })

const obedient = 'setInterval(() => {}, 1000); console.log("up")'
const stubborn = `process.on("SIGTERM", () => console.log("no")); ${obedient}`

test('stops the last group first, and kills what does not stop in time', async () => {
  const order: string[] = []
  const supervisor = await supervise({
    onChange: running => order.push(running.map(({ name }) => name).join()),
  })
  const first = run(supervisor, 'one', 'below', obedient)
  const second = run(supervisor, 'two', 'above', stubborn)
  await Promise.all([first, second].map(one => says(one, 'up')))
  await supervisor.stopAll({ graceMs: 300 })
  expect(order).toEqual(['one', 'one,two', 'one', ''])
  expect(await second.ended).toMatchObject({ signal: 'SIGKILL', expected: true })
  expect(await first.ended).toMatchObject({ signal: 'SIGTERM', expected: true })
  expect([first, second].some(one => isSameProcess(one.identity))).toBe(false)
  expect(() => run(supervisor, 'three', 'above', obedient)).toThrow('not started any more')
})

test('kills what a process started, too', async () => {
  const supervisor = await supervise()
  const child = `require("child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"])`
  const parent = run(supervisor, 'parent', 'all', `console.log(${child}.pid); ${obedient}`)
  await says(parent, 'up')
  const pid = Number(parent.log.tail[0])
  await parent.kill()
  await waitFor(() => identifyProcess(pid) === null, { what: 'the grandchild to end', timeoutMs: 5_000 })
})

test('reports an end that nobody asked for, with the last words of the process', async () => {
  const ends: string[] = []
  const supervisor = await supervise({
    onUnexpectedEnd: ({ name }, { code }) => ends.push(`${name} ${code ?? ''}`),
  })
  const failing = run(supervisor, 'failing', 'all', 'console.error("port taken"); process.exitCode = 3')
  await failing.ended
  expect(ends).toEqual(['failing 3'])
  expect(failing.failed()?.message).toContain('port taken')
  expect(await readFile(failing.log.path, 'utf8')).toBe('port taken\n')
})

test('a program that does not exist is an error at once', async () => {
  const supervisor = await supervise()
  const options = { name: 'missing', group: 'all', command: '/nonexistent/program', args: [], env: {} }
  expect(() => supervisor.start(options)).toThrow('/nonexistent/program does not run')
  await supervisor.stopAll()
})
