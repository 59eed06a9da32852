import { describe, test } from 'vitest'
import { fuzz } from '../testing/fuzz-check.ts'
import { FuzzedServer } from '../testing/fuzz-server.ts'
import { fuzzSession } from '../testing/fuzz-session.ts'

const ms = 20_000

// In one file, one after the other: side by side they would take every processor from the other tests.
describe('fuzzing', { timeout: 120_000 }, () => {
  test('whatever bytes a session is sent, it ends in order or goes on, and others have what they should', async () => {
    await fuzz(fuzzSession(), { ms })
  })

  test('whatever messages a service is sent, the stream ends as documented, and another one gets its changes', async () => {
    await using server = await FuzzedServer.start()
    await fuzz(server.streams(), { ms })
    await server.cleared()
  })

  test('whatever frames a connection is sent, another one gets its changes, and new ones work', async () => {
    await using server = await FuzzedServer.start()
    await fuzz(server.connections(), { ms })
    await server.cleared()
  })
})
