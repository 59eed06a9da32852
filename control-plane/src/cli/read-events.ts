/** One server-sent event, and the id to resume after it; blocks without data only move the id. */
export interface ServerEvent {
  readonly id: string
  readonly event: string
  readonly data: string
}

const parseBlock = (block: string, lastId: string): ServerEvent => {
  let [id, event] = [lastId, 'message']
  const data: string[] = []
  for (const line of block.split('\n')) {
    const [, field = '', value = ''] = /^([a-z]+): ?(.*)$/s.exec(line) ?? []
    if (field === 'id') id = value
    if (field === 'event') event = value
    if (field === 'data') data.push(value)
  }
  return { id, event, data: data.join('\n') }
}

/** Reads a stream of events (HTML Living Standard, section 9.2) until it ends; rejects when it breaks. */
export async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder()
  let text = ''
  let id = ''
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true })
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      const parsed = parseBlock(block, id)
      id = parsed.id
      yield parsed
    }
  }
}
