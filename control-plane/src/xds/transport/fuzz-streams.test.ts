import { test } from 'vitest'
import { fuzz } from '../testing/fuzz-check.ts'
import { FuzzedServer } from '../testing/fuzz-server.ts'

test('whatever messages a service is sent, the stream ends as documented, and another one gets its changes', async () => {
  await using server = await FuzzedServer.start()
  await fuzz(server.streams(), { ms: 20_000 })
  await server.cleared()
}, 120_000)
