import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '@waymark/deploy/local/postgres.ts'
import { TestMesh } from '../harness/test-mesh.ts'

export interface Rig {
  /** One replica, a process of its own. */
  readonly mesh: TestMesh
  readonly databaseUrl: string
}

export interface RigOptions {
  /** Empty where no Envoy is needed. */
  readonly envoy?: string
}

/** Runs `work` with a fresh Postgres as `npm run up` has it (fsync on) and one replica; stops both afterwards. */
export const withRig = async <T>(options: RigOptions, work: (rig: Rig) => Promise<T>): Promise<T> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'waymark-bench-'))
  const postgres = await startPostgres({ dataDir })
  try {
    const mesh = await TestMesh.start({
      databaseUrl: postgres.url,
      envoy: options.envoy ?? '',
      replicas: 1,
      env: { WAYMARK_LOG_LEVEL: 'warn' },
    })
    try {
      return await work({ mesh, databaseUrl: postgres.url })
    } finally {
      await mesh.close()
    }
  } finally {
    await postgres.destroy()
    await rm(dataDir, { recursive: true, force: true })
  }
}
