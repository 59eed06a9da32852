import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock } from '../../test/support/manual-clock.ts'
import type { Revision } from '../domain/revision.ts'
import { silentLogger } from '../runtime/logger.ts'
import { stillSettled } from '../xds/status/settled.ts'
import { ChangedNodes } from '../xds/status/changed-nodes.ts'
import { glanceAt } from '../xds/status/stream-glance.ts'
import { unsettled } from '../xds/status/stream-shape.ts'
import type { NackStatus, StreamStatus } from '../xds/status/status.ts'
import { SidecarReporter, type SidecarStore } from './sidecar-reporter.ts'

interface Sidecar {
  /** The oldest revision that it has been sent and not answered. */
  behind: Revision | undefined
  refused: Revision | undefined
  /** Its row is of this stream, not of one that it had before. */
  written: boolean
  readonly stream: number
  /** Resources that it has. */
  acked: number
}

/** As `StreamShape` tells it: another number whenever something else is ACKed. */
const shapeOf = ({ behind, refused, acked }: Sidecar): number =>
  behind === undefined && refused === undefined ? acked : unsettled

/** Sidecars of one type, and the rows that are written of them. */
class World implements SidecarStore {
  readonly clock = new ManualClock()
  readonly sidecars = new Map<string, Sidecar>()
  readonly rows = new Map<string, { status: StreamStatus; ended: boolean }>()
  covered: Revision | null = null
  revision: Revision = 1
  failing: 'save' | 'cover' | undefined
  saves = 0
  covers = 0
  /** Whole statuses that were asked for. */
  looks = 0
  #streams = 0
  readonly #changed = new ChangedNodes(() => undefined)

  readonly reporter = new SidecarReporter({
    streams: {
      nodes: this.sidecars.keys(),
      stream: node => {
        this.looks += 1
        return this.status(node)
      },
      glance: node => {
        const sidecar = this.sidecars.get(node)
        if (sidecar === undefined) return undefined
        const { behind, refused, stream: id } = sidecar
        const refusals = refused === undefined ? [] : [refused]
        const delivery = { busy: behind !== undefined, refusals, behindSince: behind }
        const deliveries = [{ ...delivery, subscription: { started: true } }]
        return glanceAt({ id, shape: { last: shapeOf(sidecar) }, deliveries }, this.revision)
      },
      collect: () => ({
        take: () => this.#changed.take(),
        await: node => {
          this.#changed.await(node)
        },
        end: () => undefined,
      }),
    },
    revision: () => this.revision,
    store: this,
    clock: this.clock,
    logger: silentLogger,
  })

  change(node: string, change: (sidecar: Sidecar) => void): void {
    const sidecar = this.sidecars.get(node)
    if (sidecar === undefined) return
    const before = shapeOf(sidecar)
    change(sidecar)
    this.#changed.reshaped(node, before, shapeOf(sidecar))
  }

  come(node: string): void {
    this.#streams += 1
    const stream = this.#streams
    this.sidecars.set(node, { behind: this.revision, refused: undefined, written: false, stream, acked: 1 })
    this.#changed.add(node)
  }

  leave(node: string): void {
    if (this.sidecars.delete(node)) this.#changed.add(node)
  }

  push(nodes: readonly string[]): void {
    this.revision += 1
    for (const node of nodes) {
      this.change(node, sidecar => {
        sidecar.behind ??= this.revision
      })
    }
  }

  answer(node: string, nack: boolean, more = 0): void {
    this.change(node, sidecar => {
      sidecar.acked += more
      sidecar.refused = nack ? (sidecar.refused ?? sidecar.behind) : undefined
      sidecar.behind = undefined
    })
  }

  status(node: string): StreamStatus | undefined {
    const sidecar = this.sidecars.get(node)
    if (sidecar === undefined) return undefined
    const { behind, refused, acked } = sidecar
    const answered = behind === undefined ? this.revision : behind - 1
    const synced = Math.min(answered, refused === undefined ? Infinity : refused - 1)
    const nack = { typeUrl: 't', names: ['a'], version: '', message: 'no', at: 1 }
    const nacks: NackStatus[] = refused === undefined ? [] : [{ ...nack, revision: refused }]
    const type = { typeUrl: 't', wildcard: true, subscribed: 0, sent: acked, acked, waiting: 0 }
    return {
      node,
      agent: '',
      stream: sidecar.stream,
      connectedAt: 1,
      address: '',
      heardAt: 1,
      rivals: [],
      syncedRevision: synced,
      answeredRevision: answered,
      inSync: synced === this.revision,
      types: [{ ...type, unansweredSince: behind ?? null }],
      nacks,
    }
  }

  /** What a reader makes of the rows. */
  read(node: string): StreamStatus | undefined {
    const row = this.rows.get(node)
    if (row === undefined || row.ended) return undefined
    return this.covered === null ? row.status : stillSettled(row.status, this.covered)
  }

  save(entries: readonly { readonly node: string; readonly status: StreamStatus }[]): Promise<void> {
    if (this.failing === 'save') return Promise.reject(new Error('away'))
    for (const { node, status } of entries) {
      this.saves += 1
      this.rows.set(node, { status, ended: false })
      const sidecar = this.sidecars.get(node)
      if (sidecar !== undefined) sidecar.written = true
    }
    return Promise.resolve()
  }

  end(nodes: readonly string[]): Promise<void> {
    for (const node of nodes) {
      const row = this.rows.get(node)
      if (row !== undefined) row.ended = true
    }
    return Promise.resolve()
  }

  cover(revision: Revision): Promise<boolean> {
    if (this.failing === 'cover') return Promise.reject(new Error('away'))
    this.covers += 1
    const missing = this.covered === null
    this.covered = revision
    return Promise.resolve(missing)
  }

  /** The tables are not logged. */
  crash(): void {
    this.rows.clear()
    this.covered = null
  }

  forget(): Promise<void> {
    return Promise.resolve()
  }
}

const node = fc.constantFrom('a', 'b', 'c')
const step = fc.oneof(
  fc.record({ do: fc.constant('come' as const), node }),
  fc.record({ do: fc.constant('leave' as const), node }),
  fc.record({ do: fc.constant('push' as const), nodes: fc.subarray(['a', 'b', 'c']) }),
  fc.record({ do: fc.constant('answer' as const), node, nack: fc.boolean(), more: fc.constantFrom(0, 0, 1) }),
  fc.record({ do: fc.constant('crash' as const) }),
  fc.record({
    do: fc.constant('step' as const),
    failing: fc.constantFrom(undefined, undefined, 'save' as const, 'cover' as const),
    ms: fc.constantFrom(500, 20_000),
  }),
)

test('rows never say more of a sidecar than it has, and in the end they say all of it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async steps => {
      const world = new World()
      for (const action of steps) {
        if (action.do === 'come') world.come(action.node)
        else if (action.do === 'leave') world.leave(action.node)
        else if (action.do === 'push') world.push(action.nodes)
        else if (action.do === 'answer') world.answer(action.node, action.nack, action.more)
        else if (action.do === 'crash') world.crash()
        else {
          world.failing = action.failing
          await world.clock.advance(action.ms)
          await world.reporter.step().catch(() => undefined)
        }
        for (const [name, { written }] of world.sidecars) {
          if (!written) continue
          const [said, is] = [world.read(name), world.status(name)]
          if (said === undefined || is === undefined) continue
          expect(said.syncedRevision).toBeLessThanOrEqual(is.syncedRevision)
          expect(said.answeredRevision).toBeLessThanOrEqual(is.answeredRevision)
        }
      }
      world.failing = undefined
      // The first finds what is behind; the second writes it and finds that all rows are gone; the third writes them.
      world.revision += 1
      await world.reporter.step()
      await world.reporter.step()
      await world.reporter.step()
      for (const name of ['a', 'b', 'c']) expect(world.read(name)).toEqual(world.status(name))
    }),
  )
})

test('a change that all answer before the next look costs one row', async () => {
  const world = new World()
  const nodes = Array.from({ length: 1_200 }, (_, index) => `web/${index}`)
  for (const name of nodes) {
    world.come(name)
    world.answer(name, false)
  }
  await world.reporter.step()
  expect([world.saves, world.covers]).toEqual([1_200, 1])
  world.push(nodes)
  for (const name of nodes) world.answer(name, false)
  await world.reporter.step()
  expect([world.saves, world.covers]).toEqual([1_200, 2])
  expect(world.read('web/1199')?.syncedRevision).toBe(2)
  // Nothing has happened: nothing is written.
  await world.reporter.step()
  expect([world.saves, world.covers]).toEqual([1_200, 2])
})

test('who answers a moment later holds the row for all back to where it is, and is written when it stays there', async () => {
  const world = new World()
  for (const name of ['a', 'b']) {
    world.come(name)
    world.answer(name, false)
  }
  await world.reporter.step()
  world.push(['a'])
  world.push(['b'])
  world.answer('b', false)
  await world.reporter.step()
  expect([world.saves, world.covered]).toEqual([2, 1])
  await world.reporter.step()
  expect([world.saves, world.covered]).toEqual([3, 3])
  expect(world.read('a')?.answeredRevision).toBe(1)
  world.answer('a', false)
  await world.reporter.step()
  expect([world.saves, world.read('a')?.answeredRevision]).toEqual([4, 3])
})

test('all rows are written again in turn', async () => {
  const world = new World()
  for (let index = 0; index < 30; index += 1) {
    world.come(`web/${index}`)
    world.answer(`web/${index}`, false)
  }
  await world.reporter.step()
  world.rows.clear()
  await world.clock.advance(40_000)
  await world.reporter.step()
  expect(world.rows.size).toBe(10)
  await world.clock.advance(80_000)
  await world.reporter.step()
  expect(world.rows.size).toBe(30)
})

test('all rows are written again at once when the row that covers them has gone', async () => {
  const world = new World()
  for (let index = 0; index < 30; index += 1) {
    world.come(`web/${index}`)
    world.answer(`web/${index}`, false)
  }
  await world.reporter.step()
  world.crash()
  world.push([])
  await world.reporter.step()
  await world.reporter.step()
  expect(world.rows.size).toBe(30)
})

test('numbers tell of most sidecars, a whole status of those that are written', async () => {
  const world = new World()
  const nodes = Array.from({ length: 100 }, (_, index) => `web/${index}`)
  for (const name of nodes) {
    world.come(name)
    world.answer(name, false)
  }
  await world.reporter.step()
  expect([world.looks, world.saves]).toEqual([100, 100])
  // A change is under way at one look, and answered at the next one.
  world.push(nodes)
  await world.reporter.step()
  for (const name of nodes) world.answer(name, false)
  await world.reporter.step()
  expect([world.looks, world.saves, world.covered]).toEqual([100, 100, 2])
  // One has got something more.
  world.push(nodes)
  for (const name of nodes) world.answer(name, false, name === 'web/7' ? 1 : 0)
  await world.reporter.step()
  expect([world.looks, world.saves, world.covered]).toEqual([101, 101, 3])
})

test('of many that fall behind and stay there some are written in each step, and nobody is covered further', async () => {
  const world = new World()
  const nodes = Array.from({ length: 1_200 }, (_, index) => `web/${index}`)
  for (const name of nodes) {
    world.come(name)
    world.answer(name, false)
  }
  await world.reporter.step()
  world.push(nodes)
  const rows = [0]
  while (world.covered === 1 && rows.length < 9) {
    await world.reporter.step()
    rows.push(world.saves - 1_200)
  }
  expect(rows).toEqual([0, 0, 500, 1_000, 1_200])
  for (const name of nodes) expect(world.read(name)).toEqual(world.status(name))
})
