import { expect, test } from 'vitest'
import { resource, ServerFixture } from '../testing/server-fixture.ts'
import { clusterType } from '../type-urls.ts'

test('two clients of one name are rivals when both are alive, and not while one may just have connected again', async () => {
  await using fixture = await ServerFixture.start()
  const rivals = () => fixture.server.book.stream('web/1')?.rivals
  fixture.put(resource(clusterType, 'a'))
  const first = fixture.connect('web/1')
  first.send({ typeUrl: clusterType })
  await first.take()
  await first.settle()
  const second = fixture.connect('web/1')
  second.send({ typeUrl: clusterType })
  await second.take()
  await second.settle()
  expect(fixture.server.book.stream('web/1')).toMatchObject({ stream: 2, rivals: [] })
  // Both answer what comes next.
  const { connectedAt = 0 } = fixture.server.book.stream('web/1') ?? {}
  await fixture.until(() => Date.now() > connectedAt)
  fixture.put(resource(clusterType, 'a', '2'))
  await first.take()
  await second.take()
  await fixture.until(() => rivals()?.length === 1)
  expect(rivals()).toMatchObject([{ address: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as string }])
  first.close()
  await fixture.until(() => rivals()?.length === 0)
})
