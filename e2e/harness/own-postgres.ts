import { rm } from 'node:fs/promises'
import { startPostgres, type Postgres } from '@waymark/deploy/local/postgres.ts'
import { onTestFinished } from 'vitest'
import { makePublicDirectory } from './public-directory.ts'

/** A Postgres of one test, for it to stop and to kill; it ends with the test. */
export const startOwnPostgres = async (
  settings: Readonly<Record<string, string>> = {},
): Promise<Postgres> => {
  const dataDir = await makePublicDirectory('waymark-own-')
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }))
  const postgres = await startPostgres({ dataDir, settings })
  // Hooks run in reverse order.
  onTestFinished(() => postgres.destroy())
  return postgres
}
