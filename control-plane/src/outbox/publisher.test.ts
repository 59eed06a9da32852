import { describe, expect, it } from 'vitest'
import { documentChange } from '../../test/support/changes.ts'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { MemoryOutbox } from '../../test/support/memory-outbox.ts'
import { WaymarkError } from '../domain/errors.ts'
import { silentLogger } from '../runtime/logger.ts'
import type { Ownership, RoleState } from '../store/owned-role.ts'
import { Publisher } from './publisher.ts'
import { DeliveryError, type DeliveryFailure, type Sink } from './sink.ts'

/** Owns its role from the beginning, under ever greater fences. */
class ModelRole {
  readonly owner = 'me'
  fence = 0
  lose = new AbortController()
  state: RoleState = { owner: 'me', fence: 1, contactAt: 0, report: null }

  async run(signal: AbortSignal, work: (ownership: Ownership) => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      this.lose = new AbortController()
      this.fence += 1
      await work({ fence: this.fence, signal: AbortSignal.any([signal, this.lose.signal]) })
    }
  }
}

const setUp = () => {
  const outbox = new MemoryOutbox()
  const clock = new ManualClock()
  const role = new ModelRole()
  const attempts: { readonly at: number; readonly ids: readonly string[] }[] = []
  let closed = 0
  let failure: (DeliveryFailure & { readonly message: string }) | null = null
  const sink: Sink = {
    name: 'model',
    kind: 'webhook',
    maxBatch: 10,
    maxBatchBytes: 100_000,
    deliver: events => {
      attempts.push({ at: clock.monotonic(), ids: events.map(({ event }) => event.id) })
      return failure === null
        ? Promise.resolve()
        : Promise.reject(new DeliveryError(failure.message, failure))
    },
    close: () => {
      closed += 1
      return Promise.resolve()
    },
  }
  const publisher = new Publisher({
    sink,
    role,
    outbox,
    log: outbox,
    clock,
    logger: silentLogger,
    random: () => 0.999,
    source: '/waymark',
    start: 'oldest',
    attempts: 3,
    suspectAfter: 1_000,
    parkedRetryMs: 60_000,
    parkedLimit: 10,
    parkedBytesLimit: 10_000,
    pageChanges: 10,
    pageBytes: 100_000,
    origin: 'configuration',
    wants: () => true,
    pollMs: 5_000,
    maxBackoffMs: 10_000,
    goneRetryMs: 100_000,
  })
  const abort = new AbortController()
  const running = publisher.start(abort.signal)
  return {
    outbox,
    clock,
    role,
    publisher,
    attempts,
    closes: () => closed,
    append: (...revisions: number[]) => {
      outbox.sets = [
        ...outbox.sets,
        ...revisions.map(revision => ({ revision, changes: [documentChange({ revision })] })),
      ]
    },
    fail: (next: typeof failure) => {
      failure = next
    },
    stop: async () => {
      abort.abort()
      await running
    },
  }
}

describe('the publisher', () => {
  it('delivers at once when woken, and finds by itself what nobody announced', async () => {
    const { publisher, clock, attempts, append, stop } = setUp()
    await clock.advance(0)
    append(1)
    publisher.wake()
    await clock.advance(0)
    expect(attempts).toHaveLength(1)
    append(2)
    await clock.advance(4_999)
    expect(attempts).toHaveLength(1)
    await clock.advance(1)
    expect(attempts).toHaveLength(2)
    await stop()
  })

  it('knows without another look at the database how far the sink is, and how far the log', async () => {
    const { publisher, clock, append, fail, stop } = setUp()
    await clock.advance(0)
    fail({ kind: 'retryable', message: 'it is full', delivered: 3 })
    append(1, 2, 3, 4, 5)
    publisher.wake()
    await clock.advance(0)
    expect(publisher.status()).toMatchObject({ revision: 3, head: 5, lag: 2 })
    await stop()
  })

  it('tries again for ever, with growing pauses up to the longest, and says why', async () => {
    const { publisher, clock, attempts, append, fail, stop } = setUp()
    fail({ kind: 'retryable', message: 'it is down' })
    append(1, 2)
    await clock.advance(120_000)
    const pauses = attempts.slice(1).map(({ at }, index) => at - (attempts[index]?.at ?? 0))
    expect(pauses.slice(0, 5)).toEqual([200, 400, 799, 1_598, 3_197])
    expect(Math.max(...pauses)).toBe(9_990)
    expect(attempts.length).toBeGreaterThan(10)
    expect(publisher.status()).toMatchObject({ error: 'it is down', lag: 2, revision: 0, head: 2 })
    fail(null)
    await clock.advance(10_000)
    expect(publisher.status()).toEqual({
      sink: 'model',
      kind: 'webhook',
      origin: 'configuration',
      revision: 2,
      head: 2,
      lag: 0,
      lagMs: 0,
      parked: 0,
      paused: null,
      compacted: false,
      gap: null,
      orphaned: false,
      error: null,
      owner: 'me',
    })
    await stop()
  })

  it('waits as long as the receiver asks, and an hour at most', async () => {
    const { clock, attempts, append, fail, stop } = setUp()
    fail({ kind: 'retryable', message: 'slow down', retryAfterMs: 70_000 })
    append(1)
    await clock.advance(69_999)
    expect(attempts).toHaveLength(1)
    fail({ kind: 'retryable', message: 'slow down', retryAfterMs: 1e12 })
    await clock.advance(1)
    expect(attempts).toHaveLength(2)
    await clock.advance(3_600_000)
    expect(attempts).toHaveLength(3)
    await stop()
  })

  it('leaves a receiver alone that wants no more', async () => {
    const { publisher, clock, attempts, append, fail, stop } = setUp()
    fail({ kind: 'gone', message: 'no more' })
    append(1)
    await clock.advance(99_999)
    expect(attempts).toHaveLength(1)
    expect(publisher.status()).toMatchObject({ error: 'no more', lag: 1 })
    fail(null)
    await clock.advance(1)
    expect(publisher.status()).toMatchObject({ error: null, lag: 0 })
    await stop()
  })

  it('begins again from the stored cursor when it has lost its role and got it back', async () => {
    const { clock, attempts, append, role, closes, stop } = setUp()
    append(1)
    await clock.advance(0)
    role.lose.abort()
    append(2)
    await clock.advance(0)
    expect(role.fence).toBe(2)
    expect(attempts.map(({ ids }) => ids.length)).toEqual([1, 1])
    expect(closes()).toBe(1)
    await stop()
    expect(closes()).toBeGreaterThan(1)
  })

  it('begins again from the stored cursor after an outage: another database may have taken over', async () => {
    const { outbox, publisher, clock, attempts, append, stop } = setUp()
    append(1, 2, 3)
    await clock.advance(0)
    publisher.wake()
    await clock.advance(0)
    expect(outbox.cursor).toEqual({ revision: 3, position: 0 })
    const read = outbox.read.bind(outbox)
    outbox.read = () => Promise.reject(new WaymarkError('database_unavailable', 'the database is away'))
    publisher.wake()
    await clock.advance(0)
    expect(publisher.status().error).toBe('the database is away')
    // A standby without revisions 2 and 3, which others have been given since.
    outbox.sets = outbox.sets.slice(0, 1)
    outbox.wish({ cursor: { revision: 1, position: 0 } })
    outbox.restore({ epoch: 0, fence: 1, paused: false })
    append(2, 3, 4)
    outbox.read = read
    await clock.advance(1_000)
    expect(attempts.slice(1).flatMap(({ ids }) => ids)).toEqual(
      outbox.sets.slice(1).flatMap(({ changes }) => changes.map(({ id }) => id)),
    )
    await stop()
  })

  it('shows why another replica cannot deliver', () => {
    const { publisher, role } = setUp()
    role.state = { owner: 'other', fence: null, contactAt: 0, report: { error: 'the disk is full' } }
    expect(publisher.status()).toMatchObject({ owner: 'other', error: 'the disk is full' })
  })

  it('stops without waiting for a pause to end', async () => {
    const { clock, append, fail, stop } = setUp()
    fail({ kind: 'gone', message: 'no more' })
    append(1)
    await clock.advance(0)
    await stop()
    expect(clock.pending).toBe(0)
  })

  it('delivers nothing of a page whose read was under way when it learned of a pause', async () => {
    const { publisher, outbox, clock, attempts, append, stop } = setUp()
    append(1, 2)
    const asked = Promise.withResolvers<undefined>()
    const reading = Promise.withResolvers<undefined>()
    const read = outbox.read.bind(outbox)
    outbox.read = async request => {
      const page = await read(request)
      asked.resolve(undefined)
      await reading.promise
      return page
    }
    await asked.promise
    outbox.wish({ paused: true })
    await publisher.observe()
    reading.resolve(undefined)
    await clock.advance(20_000)
    expect(attempts).toEqual([])
    expect(publisher.status()).toMatchObject({ revision: 0, lag: 2, paused: { by: 'test' } })
    outbox.wish({ paused: false })
    await publisher.observe()
    await clock.advance(0)
    expect(attempts.map(({ ids }) => ids.length)).toEqual([2])
    await stop()
  })

  it('shows what the later of two looks found, whichever is answered first', async () => {
    const { publisher, outbox, clock, attempts, append, stop } = setUp()
    await clock.advance(0)
    const first = Promise.withResolvers<undefined>()
    const progress = outbox.progress.bind(outbox)
    outbox.progress = async () => {
      outbox.progress = progress
      const found = await progress()
      await first.promise
      return found
    }
    const look = publisher.observe()
    outbox.wish({ paused: true })
    await publisher.observe()
    first.resolve(undefined)
    await look
    expect(publisher.status()).toMatchObject({ paused: { by: 'test' } })
    append(1)
    publisher.wake()
    await clock.advance(0)
    expect(attempts).toEqual([])
    await stop()
  })

  it('goes on in a database whose epochs are older ones, restored', async () => {
    const { publisher, outbox, clock, attempts, append, stop } = setUp()
    for (let wish = 0; wish < 3; wish += 1) outbox.wish({})
    append(1)
    await clock.advance(0)
    outbox.restore({ epoch: 1, fence: 0, paused: true })
    append(2)
    await clock.advance(5_000)
    expect(attempts).toHaveLength(1)
    expect(publisher.status()).toMatchObject({ paused: { by: 'test' }, lag: 1 })
    outbox.wish({ paused: false })
    await clock.advance(5_000)
    expect(attempts).toHaveLength(2)
    expect(publisher.status()).toMatchObject({ paused: null, lag: 0 })
    await stop()
  })

  it('follows a replay, a pause and a resumption within a poll, also between two attempts', async () => {
    const { publisher, outbox, clock, attempts, append, fail, stop } = setUp()
    append(1, 2)
    await clock.advance(0)
    outbox.wish({ cursor: { revision: 0, position: 0 } })
    await clock.advance(5_000)
    expect(attempts.map(({ ids }) => ids.length)).toEqual([2, 2])
    outbox.wish({ paused: true })
    append(3)
    await clock.advance(5_000)
    publisher.wake()
    await clock.advance(0)
    expect(attempts).toHaveLength(2)
    expect(publisher.status()).toMatchObject({ paused: { by: 'test' }, lag: 1 })
    fail({ kind: 'gone', message: 'no more' })
    outbox.wish({ paused: false })
    await clock.advance(5_000)
    expect(attempts).toHaveLength(3)
    // It would be asked again in 100 s; a wish is not kept waiting for that.
    fail(null)
    outbox.wish({})
    await clock.advance(5_000)
    expect(attempts).toHaveLength(4)
    expect(publisher.status()).toMatchObject({ lag: 0, error: null })
    await stop()
  })
})
