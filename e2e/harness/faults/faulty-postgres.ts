import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startPostgres, type Postgres } from '@waymark/deploy/local/postgres.ts'
import { runCommand } from '@waymark/deploy/local/run-command.ts'
import pg from 'pg'
import { makePublicDirectory } from '../public-directory.ts'
import { DatabaseProxy } from './database-proxy.ts'

/** Why a disk of its own, which can be filled, cannot be had here; null: it can. */
export const whyNoOwnDisk = (): string | null =>
  process.platform === 'linux' && process.getuid?.() === 0
    ? null
    : 'mounting a small disk needs root on Linux'

/** Enough for a fresh cluster, its first segments of WAL and some thousand changes. */
const diskSize = '320m'
const connections = 40
const blockBytes = 65_536

const mounted = async (directory: string): Promise<void> => {
  const { code, stderr } = await runCommand({
    command: 'mount',
    args: ['-t', 'tmpfs', '-o', `size=${diskSize},mode=0755`, 'waymark-e2e', directory],
  })
  if (code !== 0) throw new Error(`a small disk could not be mounted: ${stderr.trim()}`)
}

/** A process and its children, from the process table. */
const family = async (pid: number): Promise<number[]> => {
  const children: number[] = [pid]
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '')
    // The name, in brackets, may hold anything.
    const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]
    if (parent === String(pid)) children.push(Number(entry))
  }
  return children
}

/** A Postgres of one test, on a disk of its own and behind one address, that can be broken in the ways of production. */
export class FaultyPostgres {
  readonly proxy: DatabaseProxy
  readonly #directory: string
  readonly #ownDisk: boolean
  readonly #hoard: pg.Client[] = []
  #primary: Postgres
  #standby: Postgres | null = null

  private constructor(directory: string, ownDisk: boolean, primary: Postgres, proxy: DatabaseProxy) {
    this.#directory = directory
    this.#ownDisk = ownDisk
    this.#primary = primary
    this.proxy = proxy
  }

  static async start(): Promise<FaultyPostgres> {
    const directory = await makePublicDirectory('waymark-faults-')
    const dataDir = join(directory, 'primary')
    await mkdir(dataDir, { mode: 0o755 })
    const ownDisk = whyNoOwnDisk() === null
    if (ownDisk) await mounted(dataDir)
    const primary = await startPostgres({ dataDir, settings: { max_connections: String(connections) } })
    return new FaultyPostgres(directory, ownDisk, primary, await DatabaseProxy.start(primary.url))
  }

  /** What the replicas use. */
  get url(): string {
    return this.proxy.url
  }

  /** Asks as an operator would, past the proxy. */
  async query<T extends pg.QueryResultRow>(text: string): Promise<T[]> {
    const client = new pg.Client({ connectionString: this.#primary.url })
    await client.connect()
    try {
      return (await client.query<T>(text)).rows
    } finally {
      await client.end()
    }
  }

  stop(): Promise<void> {
    return this.#primary.stop()
  }

  kill(): Promise<void> {
    return this.#primary.kill()
  }

  restart(): Promise<void> {
    return this.#primary.start()
  }

  /** Every process of the server stands still, as on a machine that swaps itself to death. */
  async pause(): Promise<void> {
    for (const pid of await this.#processes()) process.kill(pid, 'SIGSTOP')
  }

  async resume(): Promise<void> {
    for (const pid of await this.#processes()) process.kill(pid, 'SIGCONT')
  }

  /** Takes every connection there is, also those that the replicas had. */
  async hoardConnections(): Promise<void> {
    const admin = await this.#connect()
    if (admin === null) throw new Error('there is no connection left to begin with')
    this.#hoard.push(admin)
    for (let attempt = 0; attempt < 50; attempt += 1) {
      const ended = await admin.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'waymark-%'",
      )
      const taken = await Promise.all(Array.from({ length: connections }, () => this.#connect()))
      this.#hoard.push(...taken.filter(client => client !== null))
      if (ended.rowCount === 0) return
    }
    throw new Error('the replicas were always quicker to connect')
  }

  async freeConnections(): Promise<void> {
    await Promise.all(this.#hoard.splice(0).map(client => client.end()))
  }

  async fillDisk(): Promise<void> {
    const file = await open(this.#ballast, 'w')
    try {
      for (const block = randomBytes(blockBytes); ;) await file.write(block)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    } finally {
      await file.close()
    }
  }

  async freeDisk(): Promise<void> {
    await rm(this.#ballast, { force: true })
  }

  /** A copy that follows, and that has everything that was committed. Interrupts the server for a moment. */
  async addStandby(): Promise<void> {
    const primary = this.#primary
    await primary.stop()
    const from = join(this.#directory, 'primary')
    const dataDir = join(this.#directory, 'standby')
    await mkdir(dataDir, { mode: 0o755 })
    // With the owner of each file.
    const { code, stderr } = await runCommand({
      command: 'cp',
      args: ['-a', '--', join(from, 'postgres'), dataDir],
    })
    if (code !== 0) throw new Error(`the cluster could not be copied: ${stderr.trim()}`)
    const directory = join(dataDir, 'postgres')
    const state = JSON.parse(await readFile(join(from, 'postgres.json'), 'utf8')) as object
    await writeFile(join(dataDir, 'postgres.json'), JSON.stringify({ ...state, directory, port: null }), {
      mode: 0o600,
    })
    await writeFile(join(directory, 'standby.signal'), '')
    await primary.start()
    const { username, password, hostname, port } = new URL(primary.url)
    this.#standby = await startPostgres({
      dataDir,
      settings: {
        max_connections: String(connections),
        primary_conninfo: `host=${hostname} port=${port} user=${username} password=${password} application_name=standby`,
      },
    })
    const admin = await this.#connect()
    // Names of standbys that must have a commit before its writer hears of it.
    await admin?.query("alter system set synchronous_standby_names = 'standby'")
    await admin?.query('select pg_reload_conf()')
    await admin?.end()
  }

  /** The primary dies for good; the standby takes over behind the same address. */
  async failOver(): Promise<void> {
    const standby = this.#standby
    if (standby === null) throw new Error('there is no standby')
    await this.#primary.kill()
    const admin = new pg.Client({ connectionString: standby.url })
    await admin.connect()
    await admin.query('select pg_promote()')
    await admin.query('alter system reset synchronous_standby_names')
    await admin.query('select pg_reload_conf()')
    await admin.end()
    this.proxy.switchTo(standby.url)
  }

  async close(): Promise<void> {
    await this.freeConnections().catch(() => undefined)
    await this.resume().catch(() => undefined)
    await this.proxy.close()
    await this.freeDisk()
    await this.#standby?.destroy()
    await this.#primary.destroy()
    if (this.#ownDisk) await runCommand({ command: 'umount', args: [join(this.#directory, 'primary')] })
    await rm(this.#directory, { recursive: true, force: true })
  }

  get #ballast(): string {
    return join(this.#directory, 'primary', 'ballast')
  }

  async #processes(): Promise<number[]> {
    const pid = this.#primary.pid
    return pid === null ? [] : family(pid)
  }

  /** null: refused. */
  async #connect(): Promise<pg.Client | null> {
    const client = new pg.Client({ connectionString: this.#primary.url, application_name: 'faults' })
    client.on('error', () => undefined)
    try {
      await client.connect()
      return client
    } catch {
      return null
    }
  }
}
