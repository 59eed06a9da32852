import { findEnvoy } from '@waymark/deploy/local/envoy.ts'
import type { TestProject } from 'vitest/node'
import { setup as setupPostgres } from './postgres-setup.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The path of the Envoy that tests run. */
    readonly envoy: string
  }
}

/** Finds (or fetches) Envoy and starts the Postgres of a test run; without one of them no test can tell anything. */
export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  const envoy = await findEnvoy()
  project.provide('envoy', envoy.path)
  return setupPostgres(project)
}
