import { readFile } from 'node:fs/promises'
import { HTTP, CloudEvent as SdkEvent } from 'cloudevents'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loggedChange } from '../../test/support/changes.ts'
import { decodeEvent, discontinuityEvent, encodeEvent, toAttributes } from './cloud-event.ts'
import type { LoggedChange } from '../domain/outbox.ts'

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

const encode = (change: LoggedChange) => encodeEvent(toAttributes(change, '/waymark'), change.payload)
const parsed = (change: LoggedChange) => JSON.parse(encode(change).json) as Record<string, unknown>

/** spec.md, "Naming Conventions" and "Type System". */
const allowed = ([key, value]: [string, string | number]): boolean =>
  /^[a-z][a-z0-9]{0,19}$/.test(key) &&
  (typeof value === 'number'
    ? Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 31
    : value !== '' && !/\p{Cc}/u.test(value) && value.isWellFormed())

describe('a change as a CloudEvent', () => {
  it('has the attributes that docs/reference/events.md shows', async () => {
    const page = await readFile(new URL('../../../docs/reference/events.md', import.meta.url), 'utf8')
    const [, example] = /```json\n(\{[^`]+\})\n```/.exec(page) ?? []
    const change = loggedChange({ revision: 42, traceparent })
    expect(Object.keys(JSON.parse(example ?? '') as object)).toEqual(Object.keys(parsed(change)))
  })

  it('tells all of the change', () => {
    const change = loggedChange({ revision: 7, position: 2, name: 'payments', traceparent, actor: 'rest' })
    expect(parsed(change)).toEqual({
      specversion: '1.0',
      id: change.id,
      source: '/waymark',
      type: 'io.waymark.document.applied',
      subject: 'Service/payments',
      time: '2026-01-01T00:00:00.000Z',
      datacontenttype: 'application/json',
      dataschema: 'urn:waymark:event:document.applied:1',
      revision: '7',
      position: 2,
      partitionkey: 'document/Service/payments',
      actor: 'rest',
      traceparent,
      data: JSON.parse(change.payload) as unknown,
    })
  })

  it('is taken by the CloudEvents SDK, in strict mode, from an HTTP request', () => {
    const encoded = encode(loggedChange({ revision: 7 }))
    const { json } = encoded
    const parsed = HTTP.toEvent({ headers: { 'content-type': 'application/cloudevents+json' }, body: json })
    expect(parsed).toBeInstanceOf(SdkEvent)
    expect((parsed as SdkEvent).validate()).toBe(true)
    expect(decodeEvent(json)).toEqual(encoded)
  })

  it('keeps the rules for attributes whatever the change says', { timeout: 30_000 }, () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 })
    fc.assert(
      fc.property(
        text,
        text,
        fc.option(text),
        fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        (name, actor, trace, revision) => {
          const change = loggedChange({ revision, name, actor, traceparent: trace })
          const attributes = toAttributes(change, '/waymark')
          expect(Object.entries<string | number>({ ...attributes }).filter(entry => !allowed(entry))).toEqual(
            [],
          )
        },
      ),
    )
  })

  it('leaves out a traceparent that is none', () => {
    const broken = [`${traceparent}-x`, traceparent.toUpperCase(), `00-${'0'.repeat(32)}-b7ad6b7169203331-01`]
    for (const value of broken) {
      expect(toAttributes(loggedChange({ revision: 1, traceparent: value }), '/w')).not.toHaveProperty(
        'traceparent',
      )
    }
  })

  it('counts bytes, not characters', () => {
    const { json, bytes } = encode(loggedChange({ revision: 1, name: 'zürich' }))
    expect(bytes).toBe(Buffer.from(json).length)
    expect(bytes).toBeGreaterThan(json.length)
  })
})

it('a discontinuity is an event of its own, the same at every attempt', () => {
  const gap = { deliveredTo: 5, resumesAfter: 40, reason: 'compacted', at: '2026-01-01T00:00:00Z' } as const
  const event = JSON.parse(discontinuityEvent(gap, '/waymark').json) as Record<string, unknown>
  expect(event).toMatchObject({
    id: 'log-compacted-5-40',
    type: 'io.waymark.log.discontinued',
    revision: '40',
    data: { deliveredTo: 5, resumesAfter: 40, reason: 'compacted' },
  })
  expect(new SdkEvent({ ...event }).validate()).toBe(true)
})
