import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '@waymark/control-plane/store/migrate.ts'
import { startPostgres } from '@waymark/deploy/local/postgres.ts'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  export interface ProvidedContext {
    /** A migrated database that tests copy. */
    readonly postgresTemplate: string
  }
}

/** Starts the Postgres of a test run and provides the URL of a migrated database for tests to copy. */
export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'waymark-test-'))
  const postgres = await startPostgres({
    dataDir,
    // Nothing of a test run has to survive a power cut.
    settings: { fsync: 'off', max_connections: '300' },
  })
  await migrate({ url: postgres.url, applicationName: 'test-set-up' })
  project.provide('postgresTemplate', postgres.url)
  return async () => {
    await postgres.destroy()
    await rm(dataDir, { recursive: true, force: true })
  }
}
