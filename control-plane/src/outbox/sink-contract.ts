import { describe, expect, it, vi } from 'vitest'
import { loggedChange } from '../../test/support/changes.ts'
import { encodeEvent, toAttributes, type EncodedEvent } from './cloud-event.ts'
import { toDeliveryError, type Sink } from './sink.ts'

/** A sink under test, and how to look at what it has and to break it. */
export interface SinkUnderTest {
  readonly sink: Sink
  /** The ids of all events that arrived, in order, each as often as it arrived. */
  readonly received: () => Promise<readonly string[]>
  /** Makes deliveries fail until `repair`. */
  readonly breakDown: () => Promise<void>
  readonly repair: () => Promise<void>
  readonly destroy: () => Promise<void>
}

export const encodedEvents = (from: number, to: number): EncodedEvent[] =>
  Array.from({ length: to - from + 1 }, (_, index) => {
    const change = loggedChange({ revision: from + index })
    return encodeEvent(toAttributes(change, '/waymark'), change.payload)
  })

const idsOf = (events: readonly EncodedEvent[]): string[] => events.map(({ event }) => event.id)
const never = new AbortController().signal

/** What the publisher relies on, whatever the sink. */
export const describeSink = (name: string, create: () => Promise<SinkUnderTest>): void => {
  const using = async (test: (under: SinkUnderTest) => Promise<void>): Promise<void> => {
    const under = await create()
    try {
      await test(under)
    } finally {
      await under.sink.close()
      await under.destroy()
    }
  }

  describe(`${name} as a sink`, () => {
    it('has everything, in order, when deliver has resolved', () =>
      using(async ({ sink, received }) => {
        const events = encodedEvents(1, 40)
        await sink.deliver(events.slice(0, 15), never)
        expect(await received()).toEqual(idsOf(events.slice(0, 15)))
        await sink.deliver(events.slice(15), never)
        expect(await received()).toEqual(idsOf(events))
      }))

    it('takes an empty delivery', () =>
      using(async ({ sink, received }) => {
        await sink.deliver([], never)
        expect(await received()).toEqual([])
      }))

    it('rejects as retryable while it is down, and goes on afterwards', () =>
      using(async under => {
        const events = encodedEvents(1, 6)
        await under.sink.deliver(events.slice(0, 2), never)
        await under.breakDown()
        const error: unknown = await under.sink
          .deliver(events.slice(2), never)
          .catch((reason: unknown) => reason)
        expect(error).toBeInstanceOf(Error)
        const { kind, delivered } = toDeliveryError(error)
        expect(kind).toBe('retryable')
        await under.repair()
        // What has just come back may not be ready at once; the publisher tries again, too.
        let left = events.slice(2 + delivered)
        const kinds = new Set<string>()
        await vi.waitFor(
          async () => {
            try {
              await under.sink.deliver(left, never)
            } catch (reason) {
              const failure = toDeliveryError(reason)
              kinds.add(failure.kind)
              left = left.slice(failure.delivered)
              throw reason
            }
          },
          { timeout: 30_000, interval: 50 },
        )
        expect([...kinds].filter(each => each !== 'retryable')).toEqual([])
        expect([...new Set(await under.received())]).toEqual(idsOf(events))
      }))

    it('delivers nothing once the signal has aborted', () =>
      using(async ({ sink, received }) => {
        await expect(sink.deliver(encodedEvents(1, 2), AbortSignal.abort())).rejects.toThrow()
        expect(await received()).toEqual([])
      }))

    it('works again after close', () =>
      using(async ({ sink, received }) => {
        const events = encodedEvents(1, 2)
        await sink.deliver(events.slice(0, 1), never)
        await sink.close()
        await sink.close()
        await sink.deliver(events.slice(1), never)
        expect(await received()).toEqual(idsOf(events))
      }))

    it('has bounds for a delivery', () =>
      using(({ sink }) => {
        expect(sink.maxBatch).toBeGreaterThanOrEqual(1)
        expect(sink.maxBatch).toBeLessThanOrEqual(1_000)
        expect(sink.maxBatchBytes).toBeLessThanOrEqual(4 * 1_024 * 1_024)
        return Promise.resolve()
      }))
  })
}
