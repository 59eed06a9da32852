import { expect, it } from 'vitest'
import { DeferredSink } from './deferred-sink.ts'
import { encodedEvents } from './sink-contract.ts'
import { DeliveryError, type FailureKind, type Sink } from './sink.ts'

const never = new AbortController().signal

const setUp = () => {
  const log: string[] = []
  let failure: FailureKind | null = null
  let opens = 0
  const open = (): Promise<Sink> => {
    opens += 1
    const name = `#${opens}`
    log.push(`open ${name}`)
    return Promise.resolve({
      name,
      kind: 'kafka',
      maxBatch: 1,
      maxBatchBytes: 1,
      deliver: events => {
        log.push(`${name} ${events.length}`)
        return failure === null
          ? Promise.resolve()
          : Promise.reject(new DeliveryError('no', { kind: failure }))
      },
      close: () => {
        log.push(`close ${name}`)
        return Promise.resolve()
      },
    })
  }
  const sink = new DeferredSink({ name: 'stream', kind: 'kafka', maxBatch: 10, maxBatchBytes: 100, open })
  return {
    sink,
    log,
    fail: (kind: FailureKind | null) => {
      failure = kind
    },
  }
}

it('is opened by the first delivery and stays open', async () => {
  const { sink, log } = setUp()
  await sink.deliver([], never)
  expect(log).toEqual([])
  await sink.deliver(encodedEvents(1, 2), never)
  await sink.deliver(encodedEvents(3, 3), never)
  await sink.close()
  await sink.close()
  expect(log).toEqual(['open #1', '#1 2', '#1 1', 'close #1'])
})

it('is opened anew after it could not deliver, but not because of an event that was refused', async () => {
  const { sink, log, fail } = setUp()
  fail('poison')
  await expect(sink.deliver(encodedEvents(1, 1), never)).rejects.toThrow('no')
  fail('retryable')
  await expect(sink.deliver(encodedEvents(1, 1), never)).rejects.toThrow('no')
  fail(null)
  await sink.deliver(encodedEvents(1, 1), never)
  expect(log).toEqual(['open #1', '#1 1', '#1 1', 'close #1', 'open #2', '#2 1'])
})
