import { createTestDatabase } from '../../control-plane/test/support/database.ts'
import { inject, onTestFinished } from 'vitest'
import { TestMesh, type TestMeshOptions } from './test-mesh.ts'

/** A mesh on a database of its own for one test, which ends with the test, whatever its outcome. */
export const startTestMesh = async (
  options: Partial<Pick<TestMeshOptions, 'replicas' | 'env' | 'program' | 'avoid'>> & {
    readonly databaseUrl?: string
  } = {},
): Promise<TestMesh> => {
  const database = options.databaseUrl === undefined ? await createTestDatabase() : null
  if (database !== null) onTestFinished(() => database.destroy())
  const mesh = await TestMesh.start({
    replicas: 2,
    ...options,
    databaseUrl: options.databaseUrl ?? database?.connection.url ?? '',
    envoy: inject('envoy'),
  })
  // Hooks run in reverse order: the mesh goes before its database.
  onTestFinished(() => mesh.close())
  return mesh
}
