import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { identifyProcess } from './process-identity.ts'
import { freePorts } from './ports.ts'
import { waitFor } from './wait.ts'

const program = fileURLToPath(new URL('up.ts', import.meta.url))
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
}, 60_000)

interface Up {
  readonly child: ChildProcess
  readonly text: () => string
  readonly ended: Promise<number | null>
}

const up = (dataDir: string, args: readonly string[] = ['--no-samples'], env: NodeJS.ProcessEnv = {}): Up => {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], WAYMARK_DATA_DIR: dataDir, ...env },
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
  const ended = once(child, 'close').then(([code]) => code as number | null)
  cleanups.push(async () => {
    child.kill('SIGINT')
    await ended
  })
  return { child, text: () => text, ended }
}

const says = (run: Up, text: string): Promise<boolean> =>
  waitFor(() => run.text().includes(text), {
    what: `"${text}"`,
    timeoutMs: 60_000,
    failed: () => (run.child.exitCode === null ? null : new Error(`it ended: ${run.text()}`)),
  })

/** Open to all, so that Postgres of another user gets in and nothing is written elsewhere. */
const temporary = async (): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), 'waymark-up-'))
  await chmod(path, 0o755)
  cleanups.push(() => rm(path, { recursive: true, force: true }))
  return path
}

/** Running processes that know the data directory, by their command line or environment. Linux only. */
const processesOf = (dataDir: string): number[] =>
  readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => {
      try {
        const known = ['cmdline', 'environ'].some(file =>
          readFileSync(`/proc/${pid}/${file}`, 'utf8').includes(dataDir),
        )
        return known && identifyProcess(pid) !== null
      } catch {
        return false
      }
    })

const linux = process.platform === 'linux'

test.skipIf(!linux).each([
  ['at once', ''],
  ['while the control plane starts', 'Postgres on port'],
  ['when everything runs', 'ready in'],
])(
  'Ctrl-C %s leaves no process',
  async (_when, text) => {
    const dataDir = await temporary()
    const run = up(dataDir)
    if (text === '')
      await waitFor(() => processesOf(dataDir).length > 1, { what: 'a child', timeoutMs: 30_000 })
    else await says(run, text)
    run.child.kill('SIGINT')
    expect([0, 130]).toContain(await run.ended)
    expect(processesOf(dataDir)).toEqual([])
    expect(run.text()).toContain('everything has been stopped')
  },
  90_000,
)

test.skipIf(!linux)(
  'after kill -9 the next run stops what was left, and works',
  async () => {
    const dataDir = await temporary()
    const [http = 0, xds = 0] = await freePorts(2)
    const ports = { WAYMARK_HTTP_LISTEN: `127.0.0.1:${http}`, WAYMARK_XDS_LISTEN: `127.0.0.1:${xds}` }
    const killed = up(dataDir, ['--no-samples'], ports)
    await says(killed, 'ready in')
    killed.child.kill('SIGKILL')
    await waitFor(() => identifyProcess(killed.child.pid ?? 0) === null, {
      what: 'its end',
      timeoutMs: 5_000,
    })
    expect(processesOf(dataDir).length).toBeGreaterThan(0)

    const next = up(dataDir, ['--no-samples'], ports)
    await says(next, 'ready in')
    expect(next.text()).toContain('Postgres of the last run still runs')
    expect((await fetch(`http://127.0.0.1:${http}/readyz`)).status).toBe(200)
    next.child.kill('SIGINT')
    await next.ended
    expect(processesOf(dataDir)).toEqual([])
  },
  120_000,
)

test('a second run on the same data directory ends with a clear word and disturbs nothing', async () => {
  const dataDir = await temporary()
  const first = up(dataDir)
  await says(first, 'ready in')
  const second = up(dataDir)
  expect(await second.ended).toBe(1)
  expect(second.text()).toContain(`(pid ${first.child.pid ?? ''}) uses the data directory ${dataDir}`)
  expect(first.child.exitCode).toBeNull()
}, 90_000)

test('a port that was set and is taken is named', async () => {
  const dataDir = await temporary()
  const first = up(dataDir)
  await says(first, 'ready in')
  const taken = /xDS on port (\d+)/.exec(first.text())?.[1] ?? ''
  const other = up(await temporary(), ['--no-samples'], { WAYMARK_XDS_LISTEN: `127.0.0.1:${taken}` })
  expect(await other.ended).toBe(1)
  expect(other.text()).toContain(`WAYMARK_XDS_LISTEN asks for 127.0.0.1:${taken}, but port ${taken} is taken`)
}, 90_000)

test('a database that cannot be reached, and options that do not exist, are clear errors', async () => {
  const unknown = up(await temporary(), ['--sample'])
  expect(await unknown.ended).toBe(1)
  expect(unknown.text()).toContain("Unknown option '--sample'")
  for (const [url, words] of [
    ['mysql://localhost/x', 'DATABASE_URL is not the URL of a Postgres'],
    ['postgres://me:secret@127.0.0.1:1/x', 'The Postgres of DATABASE_URL (127.0.0.1:1/x) cannot be used'],
  ] as const) {
    const wrong = up(await temporary(), ['--no-samples'], { DATABASE_URL: url })
    expect(await wrong.ended).toBe(1)
    expect(wrong.text()).toContain(words)
    expect(wrong.text()).not.toMatch(/secret|    at /)
  }
}, 90_000)
