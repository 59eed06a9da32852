import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import pg from 'pg'
import { LogFile } from './log-file.ts'
import { freePort, isPortFree } from './ports.ts'
import { openPostgresHome, type PostgresHome } from './postgres-home.ts'
import { recoverDataDirectory, stopPostmaster, waitForBackends } from './postgres-recovery.ts'
import { UserError } from './user-error.ts'
import { waitFor } from './wait.ts'

export interface PostgresOptions {
  /** The data directory of the installation; the cluster lies in its `postgres`, the log in its `logs`. */
  readonly dataDir: string
  /** Must be free. Without it the port of the last run is used if it is free, else another. */
  readonly port?: number
  /** Ports that are somebody else's, who does not listen yet. */
  readonly avoid?: ReadonlySet<number>
  /** Server settings, on top of the defaults: `{ fsync: 'off' }`. */
  readonly settings?: Readonly<Record<string, string>>
  /** Every line that the server logs; they are in `logs/postgres.log` as well. */
  readonly onLog?: (line: string) => void
  /** What a person should know: an old server was stopped, the data lies elsewhere. */
  readonly onNotice?: (text: string) => void
  /** The server ended without having been told to. */
  readonly onUnexpectedEnd?: () => void
  /** Ends a start that is under way; nothing is left running then. */
  readonly signal?: AbortSignal
}

/** A PostgreSQL server of our own on loopback, with one database and one superuser, both called `waymark`. */
export interface Postgres {
  readonly url: string
  readonly port: number
  /** null while it is stopped. */
  readonly pid: number | null
  /** Where the cluster lies; not always in the data directory (see `openPostgresHome`). */
  readonly directory: string
  /** Resolves when it has ended, in the end by force. Does nothing when it is stopped. */
  stop(): Promise<void>
  /** SIGKILL, as a crash would do; resolves when its backends have gone as well. */
  kill(): Promise<void>
  /** Starts it again on the same port. */
  start(): Promise<void>
  /** Stops it and deletes the cluster. */
  destroy(): Promise<void>
}

const user = 'waymark'
const defaults = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  lc_messages: 'C',
} as const

/** Nothing of the caller's PG* variables may reach the server. */
const serverEnvironment = (): NodeJS.ProcessEnv => ({ PATH: process.env['PATH'], LC_ALL: 'C' })

/** The server ended while it was being started. */
class PostgresEndedError extends UserError {
  readonly portTaken: boolean

  constructor(log: LogFile) {
    super(`Postgres did not start: ${log.tail.slice(-3).join(' | ')}`, [
      `Its log is ${log.path}.`,
      'Set DATABASE_URL to use a Postgres of your own instead.',
    ])
    this.portTaken = log.tail.some(line => line.includes('Address already in use'))
  }
}

class EmbeddedPostgres implements Postgres {
  readonly port: number
  readonly directory: string
  readonly #home: PostgresHome
  readonly #options: PostgresOptions
  readonly #log: LogFile
  #child: ChildProcess | null = null
  #ended: Promise<void> = Promise.resolve()
  #wanted = false

  constructor(home: PostgresHome, port: number, options: PostgresOptions) {
    this.#home = home
    this.port = port
    this.directory = home.directory
    this.#options = options
    this.#log = new LogFile({ path: join(options.dataDir, 'logs', 'postgres.log') })
  }

  get url(): string {
    return this.#url(user)
  }

  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  async start(): Promise<void> {
    if (this.#child !== null) return
    const signal = this.#options.signal
    await recoverDataDirectory(this.directory, this.#options.onNotice ?? (() => undefined))
    signal?.throwIfAborted()
    this.#spawn()
    this.#wanted = true
    try {
      await waitFor(() => this.#isReady(), {
        what: 'Postgres to accept connections',
        timeoutMs: 60_000,
        failed: () => (this.#child === null ? new PostgresEndedError(this.#log) : null),
        signal,
      })
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  async stop(): Promise<void> {
    this.#wanted = false
    if (this.#child?.pid !== undefined) await stopPostmaster(this.#child.pid)
    await this.#ended
  }

  async kill(): Promise<void> {
    this.#wanted = false
    this.#child?.kill('SIGKILL')
    await this.#ended
    await waitForBackends(this.directory)
  }

  async destroy(): Promise<void> {
    await this.stop()
    this.#log.close()
    await this.#home.remove()
  }

  #url(database: string): string {
    return `postgresql://${user}:${this.#home.password}@127.0.0.1:${this.port}/${database}`
  }

  #spawn(): void {
    const { binaries, user: owner } = this.#home
    const settings = { ...defaults, ...this.#options.settings }
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const child = spawn(binaries.postgres, ['-D', this.directory, '-p', String(this.port), ...flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      cwd: '/',
      env: serverEnvironment(),
      ...(owner.uid === undefined ? {} : { uid: owner.uid }),
      ...(owner.gid === undefined ? {} : { gid: owner.gid }),
    })
    for (const stream of [child.stdout, child.stderr]) this.#log.follow(stream, this.#options.onLog)
    this.#child = child
    this.#ended = new Promise(resolve => {
      const ended = (): void => {
        this.#child = null
        resolve()
        if (this.#wanted) this.#options.onUnexpectedEnd?.()
      }
      // 'close' comes after 'exit', when the last lines have been read.
      child.once('close', ended)
      child.once('error', error => {
        this.#log.line(`could not be started: ${error.message}`)
        ended()
      })
    })
  }

  /** Connecting is the only proof; the database is made at the first start. */
  async #isReady(): Promise<boolean> {
    const client = new pg.Client({ connectionString: this.#url('postgres'), connectionTimeoutMillis: 5_000 })
    client.on('error', () => undefined)
    await client.connect()
    try {
      const found = await client.query('select from pg_database where datname = $1', [user])
      if (found.rowCount === 0) await client.query(`create database ${user}`)
      return true
    } finally {
      await client.end()
    }
  }
}

/** Starts it, on a cluster made now or by an earlier run, in whatever state that run left it. */
export const startPostgres = async (options: PostgresOptions): Promise<Postgres> => {
  const onNotice = options.onNotice ?? (() => undefined)
  const home = await openPostgresHome({ ...options, superuser: user, onNotice })
  await recoverDataDirectory(home.directory, onNotice)
  if (options.port !== undefined && !(await isPortFree({ host: '127.0.0.1', port: options.port })))
    throw new UserError(`Port ${options.port}, which Postgres was to use, is taken.`)
  for (let attempt = 1; ; attempt += 1) {
    const port =
      options.port ??
      (await freePort({ preferred: home.lastPort ?? undefined, avoid: options.avoid ?? new Set() }))
    const server = new EmbeddedPostgres(home, port, options)
    try {
      await server.start()
      await home.rememberPort(port)
      return server
    } catch (error) {
      // Somebody took the port between the choice and the start.
      const again = error instanceof PostgresEndedError && error.portTaken && options.port === undefined
      if (!again || attempt === 3) throw error
    }
  }
}
