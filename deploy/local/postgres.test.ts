import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { startPostgres, type Postgres } from './postgres.ts'
import { identifyProcess } from './process-identity.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

// mkdtemp makes a directory of mode 0700: as root this is the case where Postgres cannot reach its data.
const temporary = async (): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), 'waymark-postgres-'))
  cleanups.push(() => rm(path, { recursive: true, force: true }))
  return path
}

const open = async (dataDir: string, notices: string[] = []): Promise<Postgres> => {
  const server = await startPostgres({ dataDir, onNotice: text => notices.push(text) })
  cleanups.push(() => server.destroy())
  return server
}

const query = async (server: Postgres, sql: string): Promise<unknown[]> => {
  const client = new pg.Client({ connectionString: server.url })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows
  } finally {
    await client.end()
  }
}

test('keeps its data and its port through a stop, a crash and a restart of everything', async () => {
  const dataDir = await temporary()
  const first = await open(dataDir)
  await query(first, 'create table kept as select 7 as value')
  for (const end of ['stop', 'kill'] as const) {
    const pid = first.pid
    await first[end]()
    expect(first.pid).toBeNull()
    expect(identifyProcess(pid ?? 0)).toBeNull()
    await expect(query(first, 'select 1')).rejects.toThrow('ECONNREFUSED')
    await first.start()
    expect(await query(first, 'select value from kept')).toEqual([{ value: 7 }])
  }
  await first.stop()
  const second = await open(dataDir)
  expect(second.url).toBe(first.url)
  expect(await query(second, 'select value from kept')).toEqual([{ value: 7 }])
}, 60_000)

test('listens on loopback only, wants the password, and keeps it to itself', async () => {
  const dataDir = await temporary()
  const server = await open(dataDir)
  expect(await query(server, 'show listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }])
  const wrong = new pg.Client({ connectionString: server.url.replace(/:[^:@]+@/, ':wrong@') })
  wrong.on('error', () => undefined)
  await expect(wrong.connect()).rejects.toMatchObject({ code: '28P01' })
  expect((await stat(join(dataDir, 'postgres.json'))).mode & 0o777).toBe(0o600)
}, 60_000)

test('stops the server that a killed process left running, and takes over its data', async () => {
  const dataDir = await temporary()
  const module = fileURLToPath(new URL('postgres.ts', import.meta.url))
  const script = `import { startPostgres } from ${JSON.stringify(module)}
    const server = await startPostgres({ dataDir: process.argv[1] })
    console.log(server.pid)
    setInterval(() => undefined, 1_000)`
  const owner = spawn(process.execPath, ['--input-type=module-typescript', '-e', script, dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(owner.stdout, 'data')) as [Buffer]
  const orphan = Number(String(line).trim())
  owner.kill('SIGKILL')
  await once(owner, 'exit')
  expect(identifyProcess(orphan)).not.toBeNull()

  const notices: string[] = []
  const server = await open(dataDir, notices)
  expect(identifyProcess(orphan)).toBeNull()
  expect(notices.join()).toContain(`pid ${orphan}`)
  expect(await query(server, 'select 1 as one')).toEqual([{ one: 1 }])
}, 60_000)

test('destroy leaves neither server nor cluster', async () => {
  const server = await open(await temporary())
  const { pid, directory } = server
  await server.destroy()
  expect(identifyProcess(pid ?? 0)).toBeNull()
  await expect(readFile(join(directory, 'PG_VERSION'))).rejects.toThrow('ENOENT')
}, 60_000)

test('a start that is called off leaves nothing running', async () => {
  const dataDir = await temporary()
  const controller = new AbortController()
  const start = startPostgres({
    dataDir,
    signal: controller.signal,
    onLog: () => {
      controller.abort(new Error('called off'))
    },
  })
  await expect(start).rejects.toThrow('called off')
  const server = await open(dataDir)
  expect(await query(server, 'select 1 as one')).toEqual([{ one: 1 }])
}, 60_000)
