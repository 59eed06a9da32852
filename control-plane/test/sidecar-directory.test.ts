import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SidecarDirectory } from '../src/sidecar-directory.ts'
import { ReplicaTable } from '../src/store/replica-table.ts'
import { SidecarTable } from '../src/store/sidecar-table.ts'
import type { StreamStatus } from '../src/xds/status/status.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'

let test: TestDatabase

beforeEach(async () => {
  test = await createTestDatabase()
})

afterEach(async () => {
  await test.destroy()
})

const node = 'web/web-1'
const streamSince = (connectedAt: number): StreamStatus => ({
  node,
  stream: 1,
  agent: 'envoy/1.40.0',
  connectedAt,
  syncedRevision: 1,
  answeredRevision: 1,
  inSync: true,
  types: [],
  nacks: [],
})
const tableOf = (replica: string) => new SidecarTable<StreamStatus>({ database: test.database, replica })
const directoryOf = (replica: string, own: readonly StreamStatus[] = []) =>
  new SidecarDirectory({
    replica,
    table: tableOf(replica),
    now: () => 0,
    streams: {
      streams: () => [...own],
      stream: name => own.find(status => status.node === name),
      resources: () => [],
    },
  })
const announce = (id: string) => new ReplicaTable(test.database).announce({ id, http: 'h:1', xds: 'h:2' })
const servedBy = async (directory: SidecarDirectory) =>
  (await directory.list()).map(({ node: name, replica }) => `${name} ${replica}`)

describe('a sidecar that has gone from one replica to another', () => {
  it('is shown at the new one, also while and after the old one finds out', async () => {
    const [before, after] = [tableOf('r1'), tableOf('r2')]
    await announce('r1')
    await announce('r2')
    await before.save([{ node, status: streamSince(1) }])
    await after.save([{ node, status: streamSince(2) }])
    // The old one writes down again what it still takes for a stream.
    await before.save([{ node, status: streamSince(1) }])
    expect(await servedBy(directoryOf('r3'))).toEqual([`${node} r2`])
    expect(await servedBy(directoryOf('r1', [streamSince(1)]))).toEqual([`${node} r2`])
    expect((await directoryOf('r1', [streamSince(1)]).get(node))?.resources).toBeNull()
    expect((await directoryOf('r2', [streamSince(2)]).get(node))?.resources).toEqual([])
    await before.remove([node])
    expect(await servedBy(directoryOf('r3'))).toEqual([`${node} r2`])
    await after.remove([node])
    expect(await servedBy(directoryOf('r3'))).toEqual([])
  })

  it('is not shown any more when it leaves, although the old one was killed', async () => {
    const [before, after] = [tableOf('killed'), tableOf('r2')]
    await announce('r2')
    await before.save([{ node, status: streamSince(1) }])
    await after.save([{ node, status: streamSince(2) }])
    await after.remove([node])
    expect(await servedBy(directoryOf('r3'))).toEqual([])
  })
})
