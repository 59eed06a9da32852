import { Client, credentials, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js'
import { expect, onTestFinished, test } from 'vitest'
import { forgetMessage } from './forget-message.ts'
import { sameBytes, withoutCodecs } from './without-codecs.ts'

const path = '/test.Reports/Stream'
const method = {
  path,
  requestStream: true,
  responseStream: true,
  ...withoutCodecs,
} as const

test('the last message of a call is let go once, and the next ones come whole', async () => {
  const received: [message: string, forgotten: boolean][] = []
  const server = new Server()
  server.addService(
    { stream: method },
    {
      stream: (call: ServerDuplexStream<Buffer, Buffer>) => {
        call.on('data', (bytes: Buffer) => {
          received.push([bytes.toString(), forgetMessage(call)])
          expect(forgetMessage(call)).toBe(false)
          call.write(Buffer.from('.'))
        })
      },
    },
  )
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure())
  onTestFinished(() => {
    client.close()
    server.forceShutdown()
  })
  const call = client.makeBidiStreamRequest(path, sameBytes, sameBytes)
  call.on('error', () => undefined)
  const answers = (call as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
  const sent = ['x'.repeat(60_000), 'y', 'z'.repeat(100_000)]
  for (const message of sent) {
    call.write(Buffer.from(message))
    await answers.next()
  }
  expect(received).toEqual(sent.map(message => [message, true]))
  expect(forgetMessage({})).toBe(false)
})
