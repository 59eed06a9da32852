import { Writable } from 'node:stream'
import { expect, it } from 'vitest'
import { describeSink, encodedEvents, type SinkUnderTest } from './sink-contract.ts'
import { StdoutSink } from './stdout-sink.ts'

const create = (): Promise<SinkUnderTest> => {
  let text = ''
  let down = false
  const stream = new Writable({
    // A Writable is destroyed by its first error; what breaks here is one write.
    autoDestroy: false,
    decodeStrings: false,
    write: (chunk: string, _encoding, done) => {
      if (!down) text += chunk
      done(down ? new Error('EIO') : null)
    },
  })
  stream.on('error', () => undefined)
  const restored = new Writable({
    decodeStrings: false,
    write: (chunk: string, _encoding, done) => {
      text += chunk
      done()
    },
  })
  const broken = new StdoutSink({ name: 'stdout', stream })
  const whole = new StdoutSink({ name: 'stdout', stream: restored })
  let current = broken
  return Promise.resolve({
    sink: {
      name: 'stdout',
      kind: 'stdout',
      maxBatch: broken.maxBatch,
      maxBatchBytes: broken.maxBatchBytes,
      deliver: (events, signal) => current.deliver(events, signal),
      close: () => current.close(),
    },
    received: () =>
      Promise.resolve(
        text
          .split('\n')
          .filter(line => line !== '')
          .map(line => (JSON.parse(line) as { id: string }).id),
      ),
    breakDown: () => {
      down = true
      return Promise.resolve()
    },
    repair: () => {
      current = whole
      return Promise.resolve()
    },
    destroy: () => Promise.resolve(),
  })
}

describeSink('stdout', create)

it('waits for a blocked reader, until it is stopped', async () => {
  const blocked: (() => void)[] = []
  const stream = new Writable({
    write: (_chunk, _encoding, done) => {
      blocked.push(done)
    },
  })
  const sink = new StdoutSink({ name: 'stdout', stream })
  const stop = new AbortController()
  const first = sink.deliver(encodedEvents(1, 1), stop.signal)
  expect(blocked).toHaveLength(1)
  blocked[0]?.()
  await first
  const second = sink.deliver(encodedEvents(2, 2), stop.signal)
  stop.abort()
  await expect(second).rejects.toThrow('blocked')
})
