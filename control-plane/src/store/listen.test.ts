import { getEventListeners } from 'node:events'
import { expect, it } from 'vitest'
import { listen } from './listen.ts'

it('leaves nothing behind where no connection could be made', async () => {
  const { signal } = new AbortController()
  const listening = listen({
    // Nobody listens on port 1.
    connection: { url: 'postgres://127.0.0.1:1/none', applicationName: 'a test' },
    channels: ['one'],
    onListening: () => undefined,
    onNotification: () => undefined,
    signal,
  })
  await expect(listening).rejects.toThrow('ECONNREFUSED')
  expect(getEventListeners(signal, 'abort')).toEqual([])
})
