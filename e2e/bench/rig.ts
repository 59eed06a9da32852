import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startPostgres, type Postgres } from '@waymark/deploy/local/postgres.ts'
import { bundleControlPlane } from '@waymark/deploy/images/bundle.ts'
import { TestMesh } from '../harness/test-mesh.ts'
import { progress } from './bench-options.ts'
import type { Address } from './generator/fleet.ts'
import { loadMesh } from './load-mesh.ts'
import { topFunctions, type ProfileWindow } from './cpu-profile.ts'
import { familyCpuMs, processCpuMs, residentBytes, ServerMetrics } from './server-figures.ts'
import type { MeshSize } from './workload.ts'

export interface RigOptions {
  /** Empty where no Envoy is needed. */
  readonly envoy?: string
  readonly replicas?: number
  /** Registered before the replicas start. */
  readonly load?: MeshSize
  /** Takes a CPU profile of each replica; `window` says of which part of its life (`machineTime`). */
  readonly profile?: { readonly window: ProfileWindow }
  /** Where replicas listen for sidecars; default: this machine's loopback. */
  readonly xdsHost?: string
  /** More of the environment of each replica. */
  readonly env?: NodeJS.ProcessEnv
}

/** A Postgres and replicas, each a process of its own. */
export class Rig {
  readonly mesh: TestMesh
  readonly #postgres: Postgres

  constructor(mesh: TestMesh, postgres: Postgres) {
    this.mesh = mesh
    this.#postgres = postgres
  }

  get databaseUrl(): string {
    return this.#postgres.url
  }

  /** User and system time so far, of all processes of Postgres that still run (ms). */
  postgresCpuMs(): number {
    const { pid } = this.#postgres
    if (pid === null) throw new Error('Postgres does not run')
    return familyCpuMs(pid)
  }

  /** Where sidecars find the replicas. */
  get addresses(): readonly Address[] {
    return this.mesh.replicas.map(({ process }) => process.xds)
  }

  get restUrl(): string {
    return this.mesh.api.url
  }

  pid(replica = 0): number {
    const { pid } = this.mesh.replica(replica).process
    if (pid === null) throw new Error('the replica does not run')
    return pid
  }

  /** User and system time so far, of all replicas (ms). */
  cpuMs(): number {
    return this.mesh.replicas.reduce((sum, _, index) => sum + processCpuMs(this.pid(index)), 0)
  }

  /** Resident memory of all replicas (bytes). */
  residentBytes(): number {
    return this.mesh.replicas.reduce((sum, _, index) => sum + residentBytes(this.pid(index)), 0)
  }

  metrics(replica = 0): Promise<ServerMetrics> {
    return ServerMetrics.read(this.mesh.replica(replica).process.url)
  }
}

const repository = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** What the image runs, made anew; profiles are of the sources, which tell more. */
const shippedProgram = (): Promise<string> =>
  bundleControlPlane({ repository, directory: join(repository, '.cache', 'bundle', 'program') })

const profileGraceMs = 60_000

/** Runs `work` with a fresh Postgres as `npm run up` has it (fsync on) and replicas; stops all of it afterwards. */
export const withRig = async <T>(options: RigOptions, work: (rig: Rig) => Promise<T>): Promise<T> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'waymark-bench-'))
  const profileDir = join(dataDir, 'profiles')
  const closers: (() => Promise<unknown>)[] = [() => rm(dataDir, { recursive: true, force: true })]
  const close = async (): Promise<void> => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer()
  }
  // Replicas and Postgres are process groups of their own: nobody else ends them.
  const interrupted = (): void => {
    void close().finally(() => process.exit(130))
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted)
  try {
    const postgres = await startPostgres({ dataDir })
    closers.push(() => postgres.destroy())
    if (options.load !== undefined) await loadMesh(postgres.url, options.load)
    const nodeOptions = `${process.env['NODE_OPTIONS'] ?? ''} --cpu-prof --cpu-prof-dir=${profileDir}`
    const mesh = await TestMesh.start({
      databaseUrl: postgres.url,
      envoy: options.envoy ?? '',
      replicas: options.replicas ?? 1,
      ...(options.profile === undefined ? { program: await shippedProgram() } : {}),
      ...(options.xdsHost === undefined ? {} : { xdsHost: options.xdsHost }),
      env: {
        WAYMARK_LOG_LEVEL: 'warn',
        ...options.env,
        ...(options.profile === undefined ? {} : { NODE_OPTIONS: nodeOptions }),
      },
    })
    closers.push(async () => {
      if (options.profile === undefined) return mesh.close()
      // A profile is written when the process ends, which takes its time.
      await Promise.all(mesh.replicas.map(({ process }) => process.stop({ graceMs: profileGraceMs })))
      await mesh.close()
      progress(await topFunctions(profileDir, options.profile.window).catch(String))
    })
    return await work(new Rig(mesh, postgres))
  } finally {
    await close()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupted)
  }
}
