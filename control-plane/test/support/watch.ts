import { expect } from 'vitest'
import { eventually } from './eventually.ts'

interface TestEvent {
  readonly id: string
  readonly type: string
  readonly data: string
}

/** A reader of server-sent events, as the standard says one reads them. */
export interface TestWatch {
  readonly headers: Headers
  readonly received: readonly TestEvent[]
  /** Also moved by blocks without data. */
  readonly lastEventId: string
  /** Waits until so many events have come; gives all of them. */
  events(count: number): Promise<readonly TestEvent[]>
  /** Resolves when the other side has ended the stream. */
  readonly ended: Promise<void>
  close(): void
}

export const openWatch = async (
  url: string,
  headers: Readonly<Record<string, string>>,
): Promise<TestWatch> => {
  const abort = new AbortController()
  const response = await fetch(url, { headers, signal: abort.signal })
  if (response.status !== 200 || response.body === null) {
    throw new Error(`${url} answered ${response.status}: ${await response.text()}`)
  }
  const received: TestEvent[] = []
  const state = { lastEventId: '' }

  const take = (block: string): void => {
    let type = 'message'
    const data: string[] = []
    for (const line of block.split('\n')) {
      const [, field = '', value = ''] = /^([a-z]+): ?(.*)$/.exec(line) ?? []
      if (field === 'id') state.lastEventId = value
      if (field === 'event') type = value
      if (field === 'data') data.push(value)
    }
    if (data.length > 0) received.push({ id: state.lastEventId, type, data: data.join('\n') })
  }

  const read = async (body: ReadableStream<Uint8Array>): Promise<void> => {
    const decoder = new TextDecoder()
    let text = ''
    for await (const chunk of body) {
      text += decoder.decode(chunk, { stream: true })
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) take(block)
    }
  }
  const ended = read(response.body).catch(() => undefined)

  return {
    headers: response.headers,
    received,
    get lastEventId() {
      return state.lastEventId
    },
    events: async count => {
      await eventually(() => {
        expect(received.length).toBeGreaterThanOrEqual(count)
      })
      return received
    },
    ended,
    close: () => {
      abort.abort()
    },
  }
}
