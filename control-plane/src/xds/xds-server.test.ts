import { expect, test } from 'vitest'
import { resource, ServerFixture } from './testing/server-fixture.ts'
import { clusterType, endpointType } from './type-urls.ts'

test('a stream gets what it subscribed to, then each change', async () => {
  await using fixture = await ServerFixture.start()
  fixture.put(resource(clusterType, 'a', 'v1'), resource(endpointType, 'a', 'e1'))
  const client = fixture.connect('web/1')
  client.send({ typeUrl: clusterType })
  const first = await client.take()
  expect(first.typeUrl).toBe(clusterType)
  expect(first.resources.map(({ name }) => name)).toEqual(['a'])
  expect(first.resources[0]?.resource?.typeUrl).toBe(clusterType)
  expect(Buffer.from(first.resources[0]?.resource?.value ?? []).toString()).toBe('v1')
  client.send({ typeUrl: endpointType, resourceNamesSubscribe: ['a'] })
  expect((await client.take()).resources.map(({ name }) => name)).toEqual(['a'])
  expect(await client.settle()).toEqual([])
  fixture.put(resource(endpointType, 'a', 'e2'))
  const changed = await client.take()
  expect(Buffer.from(changed.resources[0]?.resource?.value ?? []).toString()).toBe('e2')
  fixture.source.apply({ remove: [{ typeUrl: endpointType, name: 'a' }] })
  expect((await client.take()).removedResources).toEqual(['a'])
  await fixture.until(() => fixture.server.stream('web/1')?.inSync === true)
  expect(fixture.server.stream('web/1')).toMatchObject({ syncedRevision: 3, inSync: true, nacks: [] })
})
