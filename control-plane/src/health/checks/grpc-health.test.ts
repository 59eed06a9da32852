import { BinaryReader } from '@bufbuild/protobuf/wire'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { healthAnswer, healthRequest } from './grpc-health.ts'

/** One uncompressed message of gRPC. */
const framed = (message: readonly number[]): Buffer => Buffer.from([0, 0, 0, 0, message.length, ...message])
const ended = { ':status': 200, 'grpc-status': '0' } as const

describe('the messages of a health check by gRPC', () => {
  it('ask for any service by its name', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 256 }), service => {
        const frame = healthRequest(service.toWellFormed())
        expect(frame.readUInt8(0)).toBe(0)
        expect(frame.readUInt32BE(1)).toBe(frame.length - 5)
        const reader = new BinaryReader(frame.subarray(5))
        if (service === '') expect(reader.len).toBe(0)
        else expect([reader.uint32(), reader.string()]).toEqual([10, service.toWellFormed()])
      }),
    )
  })

  it('pass for SERVING, also with fields that are not known', () => {
    expect(healthAnswer(ended, framed([8, 1]))).toEqual({ ok: true, output: 'SERVING' })
    // Field 2, a varint, and field 3, a string: what later versions may add.
    expect(healthAnswer(ended, framed([16, 7, 8, 1, 26, 1, 65]))).toEqual({ ok: true, output: 'SERVING' })
    expect(healthAnswer(ended, framed([]))).toEqual({ ok: false, output: 'UNKNOWN' })
  })

  it('pass for nothing else, whatever bytes come, and never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), bytes => {
        const { ok } = healthAnswer(ended, Buffer.from(bytes))
        const said = [...bytes]
        // A message that fits its frame and says so somewhere, or it does not pass.
        if (ok) expect([said[0], said.length - 5, said.includes(8)]).toEqual([0, said[4], true])
      }),
      { numRuns: 1_000 },
    )
  })

  it('do not pass when the call failed, whatever its message says', () => {
    for (const headers of [
      { ':status': 200, 'grpc-status': '14' },
      { ':status': 503 },
      { ':status': 200 },
      { ':status': 503, 'grpc-status': '0' },
    ])
      expect(healthAnswer(headers, framed([8, 1])).ok).toBe(false)
  })
})
