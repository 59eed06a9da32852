import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  status,
  type ServiceError,
  type StatusObject,
} from '@grpc/grpc-js'
import * as fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../runtime/clock.ts'
import { silentLogger } from '../../runtime/logger.ts'
import { XdsCounters } from '../counters.ts'
import { Pace } from '../push/pace.ts'
import { callHeaders, frame, grpcMessage, opening } from '../testing/fuzz-frames.ts'
import { WindowedSocket } from '../testing/windowed-socket.ts'
import { BoundedLog } from './bounded-log.ts'
import { ByteBudget } from './byte-budget.ts'
import { framedMessage } from './grpc-frame.ts'
import type { AnyCall, GuardedStream } from './guarded-stream.ts'
import { Http2Guard } from './http2-guard.ts'
import { RequestReader } from './request-reader.ts'
import { ResponseQueue } from './response-queue.ts'
import { sameBytes, withoutCodecs } from './without-codecs.ts'

const path = '/test.Test/Stream'
const clock = systemClock

/** Handles a call; `guarded`: undefined when nothing is known of its HTTP/2 stream. */
type Handler = (call: AnyCall, guarded: GuardedStream | undefined) => void

/** A server of grpc-js with one method, whose calls are guarded or not. */
const listen = async (handler: Handler, options: { guarded: boolean }): Promise<number> => {
  const guard = new Http2Guard({
    clock,
    counters: new XdsCounters(),
    warnings: new BoundedLog({ logger: silentLogger, clock }),
    budget: new ByteBudget({ clock, maxBytes: 1_000_000, patienceMs: 1_000 }),
    maxMessageBytes: 200_000,
    messageMs: 60_000,
    keepaliveMs: 60_000,
    keepaliveTimeoutMs: 60_000,
    owns: ({ localPort }) => localPort === port,
  })
  const server = new Server()
  const definition = {
    path,
    requestStream: true,
    responseStream: true,
    ...withoutCodecs,
  } as const
  const stream = (call: AnyCall): void => {
    handler(call, options.guarded ? guard.enter(call) : undefined)
  }
  server.addService({ stream: definition }, { stream })
  guard.start()
  onTestFinished(() => {
    guard.stop()
    server.forceShutdown()
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
  return port
}

/** A message that a client sends: its bytes, and whether they are compressed. */
interface Sent {
  readonly length: number
  readonly compressed: boolean
}

const bodyOf = ({ length, compressed }: Sent, index: number): Buffer => {
  const bytes = Buffer.alloc(length, index % 251)
  return compressed ? grpcMessage(gzipSync(bytes), 1) : grpcMessage(bytes)
}

/** The bytes in DATA frames that end at these places or at a message's end, if that is wanted. */
const dataFrames = (messages: readonly Buffer[], cuts: readonly number[], together: boolean): Buffer[] => {
  const frames: Buffer[] = []
  let turn = 0
  for (const bytes of together ? [Buffer.concat(messages)] : messages) {
    for (let at = 0; at < bytes.length; turn += 1) {
      const part = bytes.subarray(at, at + Math.min(16_384, cuts[turn % cuts.length] ?? 16_384))
      frames.push(frame({ type: 0, stream: 1, payload: part }))
      at += part.length
    }
  }
  return frames
}

const sent: fc.Arbitrary<Sent> = fc.record({
  length: fc.oneof(fc.nat(300), fc.constantFrom(0, 5_000, 20_000)),
  compressed: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.boolean()),
})

const conversation = fc.record({
  messages: fc.array(sent, { minLength: 1, maxLength: 12 }),
  cuts: fc.oneof(
    { weight: 2, arbitrary: fc.constant([16_384]) },
    fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 }),
  ),
  together: fc.boolean(),
  /** Whether the reader holds after the message of this turn. */
  holds: fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
})

/** More than fits into the windows of HTTP/2, in small pieces, while the reader holds again and again. */
const beyondWindow = {
  messages: [139, 20_000, 20_000, 284, 239, 20_000, 20_000, 214, 20_000, 20_000, 0, 5_000].map(length => ({
    length,
    compressed: false,
  })),
  cuts: [397, 337, 269],
  together: false,
  holds: [true, true, true, false],
}

describe.each([{ guarded: true }, { guarded: false }])('messages of a call ($guarded)', options => {
  test('come once and in order, whatever their size, their cuts and what the reader holds', async () => {
    const inbox: { read: (call: AnyCall, guarded: GuardedStream | undefined) => void } = {
      read: () => undefined,
    }
    const port = await listen((call, guarded) => {
      inbox.read(call, guarded)
    }, options)
    let direct = 0
    let all = 0
    await fc.assert(
      fc.asyncProperty(conversation, async ({ messages, cuts, together, holds }) => {
        const got: number[] = []
        const whole = new Promise<void>(resolve => {
          inbox.read = (call, guarded) => {
            let byCall = 0
            let held = false
            call.on('data', () => (byCall += 1))
            const reader = new RequestReader({
              call,
              direct: guarded,
              clock,
              pace: new Pace({ clock, figures: { paced: 0 } }),
              onMessage: bytes => {
                expect(held).toBe(false)
                expect(bytes.every(byte => byte === got.length % 251)).toBe(true)
                got.push(bytes.length)
                if (got.length === messages.length) {
                  setImmediate(() => {
                    direct += messages.length - byCall
                    resolve()
                  })
                }
                if (holds[got.length % holds.length] === true) {
                  reader.hold()
                  held = true
                  setImmediate(() => {
                    held = false
                    reader.release()
                  })
                }
                return undefined
              },
              onGreedy: () => undefined,
            })
            reader.start()
          }
        })
        const socket = connect({ host: '127.0.0.1', port, noDelay: true })
        const headers = callHeaders(path, { 'grpc-encoding': 'gzip' })
        socket.write(Buffer.concat([opening, frame({ type: 1, flags: 4, stream: 1, payload: headers })]))
        const windowed = new WindowedSocket(socket)
        for (const part of dataFrames(messages.map(bodyOf), cuts, together)) windowed.write(part)
        await whole
        socket.destroy()
        all += messages.length
        expect(got).toEqual(messages.map(({ length }) => length))
      }),
      { numRuns: 60, timeout: 20_000, endOnFailure: true, examples: [[beyondWindow]] },
    )
    // Some went past gRPC, if they could, and some did not.
    if (options.guarded) expect(direct).toBeGreaterThan(all / 10)
    else expect(direct).toBe(0)
    expect(direct).toBeLessThan(all)
  })

  test('are not mistaken for what is in them', async () => {
    const got: Buffer[] = []
    const port = await listen((call, guarded) => {
      new RequestReader({
        call,
        direct: guarded,
        clock,
        pace: new Pace({ clock, figures: { paced: 0 } }),
        onMessage: bytes => {
          got.push(bytes)
          return undefined
        },
        onGreedy: () => undefined,
      }).start()
    }, options)
    const inner = grpcMessage(Buffer.alloc(10, 1))
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    socket.resume()
    socket.write(
      Buffer.concat([opening, frame({ type: 1, flags: 4, stream: 1, payload: callHeaders(path) })]),
    )
    for (const part of [grpcMessage(inner).subarray(0, 5), inner, inner])
      socket.write(frame({ type: 0, stream: 1, payload: part }))
    await expect
      .poll(() => got.map(bytes => bytes.length), { timeout: 20_000 })
      .toEqual([inner.length, inner.length - 5])
    socket.destroy()
  })

  const queueOf = (call: AnyCall, guarded: GuardedStream | undefined): ResponseQueue =>
    new ResponseQueue({
      call,
      direct: guarded,
      clock,
      budget: new ByteBudget({ clock, maxBytes: 1_000_000, patienceMs: 1_000 }),
      onEvict: () => undefined,
      onTaken: () => undefined,
    })

  /** What a client gets from a call, until its status. */
  const outcome = (
    port: number,
    deadline: Date | number = Infinity,
  ): Promise<{ messages: Buffer[]; end: StatusObject }> => {
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    })
    onTestFinished(() => {
      client.close()
    })
    const messages: Buffer[] = []
    const call = client.makeBidiStreamRequest(path, sameBytes, sameBytes, { deadline })
    call.on('data', (bytes: Buffer) => messages.push(bytes))
    call.on('error', () => undefined)
    return new Promise(resolve => {
      call.on('status', end => {
        resolve({ messages, end })
      })
    })
  }

  const responses = Array.from({ length: 8 }, (_, index) => Buffer.alloc(index * 3_000, index))
  const framed = responses.map(bytes => framedMessage([bytes]))

  test('are written in order, shared, and before the status with which the call ends', async () => {
    const ends: ((call: AnyCall) => void)[] = [
      call => call.end(),
      call => {
        const refused: Partial<ServiceError> = { code: status.RESOURCE_EXHAUSTED, details: 'no more' }
        call.emit('error', refused)
      },
    ]
    const port = await listen((call, guarded) => {
      const queue = queueOf(call, guarded)
      for (const one of framed) queue.write(one)
      expect(queue.size).toBe(framed.length)
      ends.shift()?.(call)
    }, options)
    for (const end of [{ code: status.OK }, { code: status.RESOURCE_EXHAUSTED, details: 'no more' }]) {
      const { messages, end: got } = await outcome(port)
      expect(Buffer.concat(messages).equals(Buffer.concat(responses))).toBe(true)
      expect(messages).toHaveLength(responses.length)
      expect(got).toMatchObject(end)
    }
  })

  test('are not written any more when gRPC has ended the call by itself', async () => {
    let begun = 0
    let afterEnd = 0
    const port = await listen((call, guarded) => {
      begun += 1
      const queue = queueOf(call, guarded)
      const write = (): void => {
        if (call.cancelled) afterEnd += 1
        if (afterEnd >= 3) return
        if (queue.takesMore()) queue.write(framed[1] ?? Buffer.alloc(5))
        setImmediate(write)
      }
      write()
    }, options)
    // The server knows the deadline too, and ends the call when it has passed; it may not have got the call by then.
    for (;;) {
      expect((await outcome(port, Date.now() + 100)).end.code).toBe(status.DEADLINE_EXCEEDED)
      if (begun > 0) break
    }
    await expect.poll(() => afterEnd, { timeout: 20_000 }).toBeGreaterThanOrEqual(3)
    expect((await outcome(port, Date.now() + 100)).end.code).toBe(status.DEADLINE_EXCEEDED)
  })
})
