import fc from 'fast-check'
import { expect, test } from 'vitest'
import { GrpcMessages, Http2Frames } from './http2-frames.ts'

const frame = (type: number, flags: number, stream: number, body: Buffer): Buffer => {
  const head = Buffer.alloc(9)
  head.writeUIntBE(body.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, body])
}

const prefixed = (message: Uint8Array): Buffer => {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** One message, cut into frames at a place, with padding, and something else on the connection before it. */
const sent = fc.record({
  stream: fc.constantFrom(1, 3),
  message: fc.uint8Array({ maxLength: 40 }),
  cut: fc.nat(45),
  padding: fc.nat(8),
})

test('messages are found whatever the frames, the padding and the chunks', () => {
  fc.assert(
    fc.property(
      fc.array(sent),
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
      (messages, sizes) => {
        const bytes: Buffer[] = [preface]
        for (const { stream, message, cut, padding } of messages) {
          const body = prefixed(message)
          const padded = Buffer.concat([Buffer.from([padding]), body.subarray(cut), Buffer.alloc(padding)])
          bytes.push(
            frame(0x4, 0, 0, Buffer.alloc(6)),
            frame(0x0, 0, stream, body.subarray(0, cut)),
            frame(0x0, 0x8, stream, padded),
          )
        }
        const found: Buffer[] = []
        const grpc = new GrpcMessages(message => {
          found.push(Buffer.from(message))
        })
        const frames = new Http2Frames({
          side: 'client',
          onData: data => {
            grpc.push(data)
          },
        })
        const all = Buffer.concat(bytes)
        for (let at = 0, turn = 0; at < all.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1
          frames.push(all.subarray(at, at + size))
          at += size
        }
        expect(found).toEqual(messages.map(({ message }) => Buffer.from(message)))
      },
    ),
  )
})

test('what is no HTTP/2 or is compressed is an error, not a silence', () => {
  const frames = new Http2Frames({ side: 'client', onData: () => undefined })
  expect(() => {
    frames.push(Buffer.from('GET / HTTP/1.1\r\nhost: waymark\r\n\r\n'))
  }).toThrow('not HTTP/2')
  const grpc = new GrpcMessages(() => undefined)
  expect(() => {
    grpc.push({ stream: 1, payload: Buffer.from([1, 0, 0, 0, 0]) })
  }).toThrow('compressed')
})
