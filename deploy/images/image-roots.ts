import { chmod, cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findEnvoy } from '../local/envoy.ts'
import { findPostgresUser, findPostgresBinaries } from '../local/postgres-binaries.ts'
import { copyApplication } from './application.ts'
import { makeRoot } from './base-root.ts'
import { bundleControlPlane } from './bundle.ts'
import { fillCompileCache } from './compile-cache.ts'
import { copyIn, installProgram, librariesOf } from './programs.ts'

export const repository = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

interface AssembleOptions {
  /** The build context: gets the folders that the Containerfile copies. */
  readonly context: string
  readonly onProgress: (text: string) => void
}

/** As /etc/passwd of the images names them. 1337 is what rules that redirect traffic leave alone. */
const users = {
  waymark: { name: 'waymark', id: 65_532 },
  envoy: { name: 'envoy', id: 1_337 },
  postgres: { name: 'postgres', id: 999 },
}

const nodeRuntime = async (context: string): Promise<void> => {
  const root = join(context, 'runtime')
  await makeRoot(root, users.waymark)
  await installProgram({ root, program: process.execPath, target: 'usr/local/bin/node' })
}

const controlPlane = async ({ context }: AssembleOptions): Promise<void> => {
  await nodeRuntime(context)
  const target = join(context, 'app')
  await copyApplication({ repository, workspace: '@waymark/control-plane', target })
  await cp(join(repository, 'migrations'), join(target, 'migrations'), { recursive: true })
  const dist = join(target, 'control-plane', 'dist')
  const program = await bundleControlPlane({ repository, directory: join(dist, 'program') })
  await fillCompileCache({ program, directory: join(dist, 'compiled'), uid: users.waymark.id })
}

const sample = async ({ context }: AssembleOptions): Promise<void> => {
  await nodeRuntime(context)
  const target = join(context, 'app')
  await cp(join(repository, 'deploy', 'samples'), join(target, 'samples'), {
    recursive: true,
    filter: path => !path.endsWith('.test.ts'),
  })
  await cp(join(repository, 'deploy', 'package.json'), join(target, 'package.json'))
}

const sidecar = async ({ context, onProgress }: AssembleOptions): Promise<void> => {
  const root = join(context, 'runtime')
  await makeRoot(root, users.envoy)
  const { path } = await findEnvoy({ onProgress })
  await installProgram({ root, program: path, target: 'usr/local/bin/envoy' })
  await mkdir(join(root, 'etc', 'envoy'))
}

/** For trials and tests: a Postgres that keeps what it is given in /var/lib/postgresql. */
const postgres = async ({ context, onProgress }: AssembleOptions): Promise<void> => {
  const root = join(context, 'runtime')
  await makeRoot(root, users.postgres)
  const programs = await findPostgresBinaries(await findPostgresUser(), onProgress)
  const native = join(programs.postgres, '..', '..')
  await cp(native, join(root, 'opt', 'postgres'), { recursive: true, verbatimSymlinks: true })
  const libraries = await Promise.all([programs.postgres, programs.initdb].map(librariesOf))
  // initdb runs postgres through a shell.
  await installProgram({ root, program: '/bin/sh', target: 'bin/sh' })
  await copyIn(
    root,
    libraries.flat().filter(path => !path.startsWith(native)),
  )
  const entry = join(root, 'usr', 'local', 'bin', 'run-postgres')
  await cp(fileURLToPath(new URL('run-postgres.sh', import.meta.url)), entry)
  await chmod(entry, 0o755)
}

/** How the root folder of each image is put together. */
export const imageRoots = { 'control-plane': controlPlane, sidecar, sample, postgres }

export type ImageName = keyof typeof imageRoots
export const imageNames = Object.keys(imageRoots) as ImageName[]
