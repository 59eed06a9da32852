import { Server, ServerCredentials, status, type ServerDuplexStream } from '@grpc/grpc-js'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { messageFrames } from './http2-frames.ts'
import { Http2Dialer, type Http2Stream, type StreamEnd } from './http2-stream.ts'

const path = '/bench.Echo/Talk'
const identity = (bytes: Buffer): Buffer => bytes
let server: Server
let port = 0
/** What the server does with a message. */
let handle: (call: ServerDuplexStream<Buffer, Buffer>, message: Buffer) => void

beforeEach(async () => {
  handle = (call, message) => call.write(message)
  server = new Server({ 'grpc.max_receive_message_length': 4 * 1_024 * 1_024 })
  const talk = {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  }
  server.addService(
    { talk },
    {
      talk: (call: ServerDuplexStream<Buffer, Buffer>) => {
        call.on('data', (message: Buffer) => {
          handle(call, message)
        })
        call.on('error', () => undefined)
      },
    },
  )
  port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
})

afterEach(() => {
  server.forceShutdown()
})

interface Talk {
  readonly stream: Http2Stream
  readonly ended: Promise<StreamEnd>
  /** Resolves when so many messages have come. */
  readonly received: (count: number) => Promise<readonly Buffer[]>
}

const talk = (): Talk => {
  const messages: Buffer[] = []
  let wake = (): void => undefined
  const ended = Promise.withResolvers<StreamEnd>()
  const stream = new Http2Dialer().open({
    host: '127.0.0.1',
    port,
    path,
    onMessage: message => {
      // The bytes are only lent.
      messages.push(Buffer.from(message))
      wake()
    },
    onEnd: ended.resolve,
  })
  const received = async (count: number): Promise<readonly Buffer[]> => {
    while (messages.length < count)
      await new Promise<void>(resolve => {
        wake = resolve
      })
    return messages
  }
  return { stream, ended: ended.promise, received }
}

test('messages of any size go both ways unchanged, in order', async () => {
  const sizes = fc.array(
    fc.oneof(fc.nat(40), fc.constantFrom(16_378, 16_379, 16_380, 65_530, 65_536), fc.nat(400_000)),
    { minLength: 1, maxLength: 12 },
  )
  await fc.assert(
    fc.asyncProperty(sizes, async lengths => {
      const { stream, received } = talk()
      const sent = lengths.map((length, index) => Buffer.alloc(length, index + 1))
      for (const message of sent) stream.send(messageFrames(message))
      const echoed = await received(sent.length)
      expect(echoed.map(one => one.length)).toEqual(lengths)
      expect(echoed.every((one, index) => one.equals(sent[index] ?? Buffer.alloc(0)))).toBe(true)
      stream.close()
    }),
    { numRuns: 25 },
  )
})

test('more bytes than the windows hold come through in both directions', async () => {
  const { stream, received } = talk()
  const message = Buffer.alloc(1_000_000, 7)
  const frames = messageFrames(message)
  const count = 40
  for (let turn = 0; turn < count; turn += 1) stream.send(frames)
  const echoed = await received(count)
  expect(echoed.every(one => one.equals(message))).toBe(true)
  stream.close()
})

test.each([status.INVALID_ARGUMENT, status.RESOURCE_EXHAUSTED, status.UNAVAILABLE, status.UNAUTHENTICATED])(
  'the status %i with which the server ends a stream is told',
  async code => {
    handle = call => call.emit('error', { code, details: 'because' })
    const { stream, ended } = talk()
    stream.send(messageFrames(Buffer.from('hello')))
    expect(await ended).toMatchObject({ status: code })
  },
)

test('a connection that is cut ends without a status', async () => {
  handle = () => {
    server.forceShutdown()
  }
  const { stream, ended } = talk()
  stream.send(messageFrames(Buffer.from('hello')))
  expect((await ended).status).toBeNull()
})
