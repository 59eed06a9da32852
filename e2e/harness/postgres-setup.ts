import { rm } from 'node:fs/promises'
import { migrate } from '@waymark/control-plane/store/migrate.ts'
import { startPostgres } from '@waymark/deploy/local/postgres.ts'
import type { TestProject } from 'vitest/node'
import { setup as beginRun } from './begin-run.ts'
import { makePublicDirectory } from './public-directory.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** A migrated database that tests copy. */
    readonly postgresTemplate: string
  }
}

/** Starts the Postgres of a test run and provides the URL of a migrated database for tests to copy. */
export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  await beginRun(project)
  const dataDir = await makePublicDirectory('waymark-test-')
  const postgres = await startPostgres({
    dataDir,
    // Nothing of a test run has to survive a power cut.
    settings: { fsync: 'off', max_connections: '500' },
  })
  await migrate({ url: postgres.url, applicationName: 'test-set-up' })
  project.provide('postgresTemplate', postgres.url)
  return async () => {
    await postgres.destroy()
    await rm(dataDir, { recursive: true, force: true })
  }
}
