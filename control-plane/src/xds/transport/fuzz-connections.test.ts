import { test } from 'vitest'
import { fuzz } from '../testing/fuzz-check.ts'
import { FuzzedServer } from '../testing/fuzz-server.ts'

test('whatever frames a connection is sent, another one gets its changes, and new ones work', async () => {
  await using server = await FuzzedServer.start()
  await fuzz(server.connections(), { ms: 20_000 })
  await server.cleared()
}, 120_000)
