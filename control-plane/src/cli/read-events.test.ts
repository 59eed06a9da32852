import { expect, it } from 'vitest'
import { readEvents } from './read-events.ts'

const eventsOf = async (...chunks: string[]) => {
  const events = []
  for await (const event of readEvents(
    (async function* () {
      await Promise.resolve()
      for (const chunk of chunks) yield Buffer.from(chunk)
    })(),
  ))
    events.push(event)
  return events
}

it('reads events however they are cut, and the id of blocks without data', async () => {
  expect(
    await eventsOf('retry: 1000\nid: 3\n', '\nid: 4\nevent: ch', 'ange\ndata: {}\n\n: alive\nid: 5\n\n'),
  ).toEqual([
    { id: '3', event: 'message', data: '' },
    { id: '4', event: 'change', data: '{}' },
    { id: '5', event: 'message', data: '' },
  ])
})

it('takes line separators that are none of the format for text', async () => {
  expect(await eventsOf('id: 1\nevent: change\ndata: "a\u2028b\u2029c"\n\n')).toMatchObject([
    { data: '"a\u2028b\u2029c"' },
  ])
})
