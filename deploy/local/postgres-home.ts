import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  canReach,
  findPostgresBinaries,
  findPostgresUser,
  privateDirectory,
  type PostgresBinaries,
  type PostgresUser,
} from './postgres-binaries.ts'
import { recoverDataDirectory } from './postgres-recovery.ts'
import { runCommand } from './run-command.ts'
import { UserError } from './user-error.ts'

/** What `{dataDir}/postgres.json` keeps between runs; only the user of the installation can read it. */
interface State {
  readonly password: string
  readonly directory: string
  readonly port: number | null
}

export interface PostgresHome {
  /** The cluster, ready to be started. */
  readonly directory: string
  readonly user: PostgresUser
  readonly binaries: PostgresBinaries
  readonly password: string
  readonly lastPort: number | null
  rememberPort(port: number): Promise<void>
  /** Deletes the cluster and what is known of it. The server must be stopped. */
  remove(): Promise<void>
}

export interface OpenPostgresHomeOptions {
  readonly dataDir: string
  readonly superuser: string
  readonly onNotice: (text: string) => void
  readonly signal?: AbortSignal | undefined
}

const isState = (value: unknown): value is State =>
  typeof value === 'object' &&
  value !== null &&
  'password' in value &&
  typeof value.password === 'string' &&
  'directory' in value &&
  typeof value.directory === 'string' &&
  'port' in value

const readState = async (path: string): Promise<State | null> => {
  const text = await readFile(path, 'utf8').catch(() => null)
  try {
    const value: unknown = text === null ? null : JSON.parse(text)
    return isState(value) ? value : null
  } catch {
    return null
  }
}

const writeState = async (path: string, state: State): Promise<void> => {
  await writeFile(`${path}.new`, JSON.stringify(state), { mode: 0o600 })
  await rename(`${path}.new`, path)
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

/** Made if missing. Open to enter, so that the Postgres user gets through; secrets in it are files of 0600. */
const ensureDataDir = async (dataDir: string): Promise<string> => {
  if (!(await exists(dataDir))) {
    await mkdir(dataDir, { recursive: true })
    await chmod(dataDir, 0o755)
  }
  return realpath(dataDir)
}

/** A cluster that exists keeps its owner, whoever starts it. */
const ownerOf = async (directory: string, fallback: PostgresUser): Promise<PostgresUser> => {
  const { uid, gid } = await stat(directory)
  const me = process.getuid?.()
  if (me === 0 && uid !== 0) return { name: `with id ${uid}`, uid, gid }
  if (me !== 0 && uid !== me)
    throw new UserError(`The database in ${directory} belongs to another user (id ${uid}).`, [
      'Run the command as before (perhaps with sudo), or remove the data directory to begin anew.',
    ])
  return fallback
}

/** `initdb` into a directory beside it, then a rename: a run that is killed leaves no half cluster. */
const createCluster = async (
  home: { directory: string; user: PostgresUser; binaries: PostgresBinaries; password: string },
  { superuser, signal }: OpenPostgresHomeOptions,
): Promise<void> => {
  const { directory, user, binaries, password } = home
  const fresh = `${directory}.new`
  const secret = join(dirname(directory), '.postgres-password')
  await rm(fresh, { recursive: true, force: true })
  await rm(secret, { force: true })
  await mkdir(fresh, { mode: 0o700 })
  try {
    await writeFile(secret, `${password}\n`, { mode: 0o600, flag: 'wx' })
    if (user.uid !== undefined && user.gid !== undefined)
      for (const path of [fresh, secret]) await chown(path, user.uid, user.gid)
    const args = [
      `--pgdata=${fresh}`,
      `--username=${superuser}`,
      `--pwfile=${secret}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
      '--no-instructions',
    ]
    const { code, stderr, failure } = await runCommand({
      command: binaries.initdb,
      args,
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
      cwd: '/',
      signal,
      timeoutMs: 120_000,
      ...(user.uid === undefined ? {} : { uid: user.uid }),
      ...(user.gid === undefined ? {} : { gid: user.gid }),
    })
    if (code !== 0)
      throw new UserError(`initdb failed: ${failure ?? stderr.trim().split('\n').slice(-4).join(' | ')}`, [
        'Set DATABASE_URL to use a Postgres of your own instead.',
      ])
  } finally {
    await rm(secret, { force: true })
  }
  await rename(fresh, directory)
}

/**
 * Finds or makes the cluster of an installation: `{dataDir}/postgres`. Where this process is root, Postgres
 * runs as another user; if that user cannot reach the data directory (a clone below /root, a directory of
 * mktemp), the cluster lies below /var/tmp, and `{dataDir}/postgres.json` says where.
 */
export const openPostgresHome = async (options: OpenPostgresHomeOptions): Promise<PostgresHome> => {
  const { onNotice, signal } = options
  const dataDir = await ensureDataDir(options.dataDir)
  const statePath = join(dataDir, 'postgres.json')
  const known = await readState(statePath)
  const unprivileged = await findPostgresUser()
  const reachable = await canReach(unprivileged, dataDir)
  const parent = reachable ? dataDir : await privateDirectory('data', dataDir)
  const directory = known?.directory ?? join(parent, 'postgres')
  const present = await exists(join(directory, 'PG_VERSION'))
  const user = present ? await ownerOf(directory, unprivileged) : unprivileged
  const binaries = await findPostgresBinaries(user, onNotice)
  const state = known ?? { password: randomBytes(18).toString('base64url'), directory, port: null }
  if (present && known === null && reachable)
    throw new UserError(`${directory} has a database, but its password in ${statePath} is missing.`, [
      `Put the file back, or remove ${directory} to begin anew.`,
    ])
  if (!reachable && !present)
    onNotice(`the user ${user.name}, who runs Postgres, cannot reach ${dataDir}: its data is in ${parent}`)
  if (!present || known === null) {
    // What lies outside the data directory is left over from one that was removed.
    await recoverDataDirectory(directory, onNotice)
    await rm(directory, { recursive: true, force: true })
    await writeState(statePath, state)
    await createCluster({ directory, user, binaries, password: state.password }, { ...options, signal })
  }
  return {
    directory,
    user,
    binaries,
    password: state.password,
    lastPort: state.port,
    rememberPort: port => writeState(statePath, { ...state, port }),
    remove: async () => {
      await rm(directory, { recursive: true, force: true })
      await rm(statePath, { force: true })
      if (!directory.startsWith(dataDir)) await rm(parent, { recursive: true, force: true })
    },
  }
}
