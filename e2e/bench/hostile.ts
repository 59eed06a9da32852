import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { machineTime } from '../harness/machine-time.ts'
import { Network, whyNoNamespaces } from '../harness/network.ts'
import { BenchProcess } from './bench-process.ts'
import { progress, type BenchOptions } from './bench-options.ts'
import { Generator } from './generator/generator.ts'
import type { BadCounts } from './hostile/bad-client.ts'
import type { BadClientHandlers } from './hostile/bad-clients-process.ts'
import { badClientKinds } from './hostile/kinds.ts'
import { HttpClient } from './http-client.ts'
import { withRig, type Rig } from './rig.ts'
import { figure, median, milliseconds, percentile } from './statistics.ts'
import { renderRows } from './table.ts'

const program = fileURLToPath(import.meta.resolve('./hostile/bad-clients-process.ts'))
const service = 'payments'
const goodStreams = 100
const perSecond = 20
/** How long bad clients act before it is measured; after them there is a pause twice as long. */
const leadMs = 1_000

interface Measured {
  /** Milliseconds from the REST answer to any receipt of a good stream. */
  readonly receipts: readonly number[]
  readonly lasts: readonly number[]
  readonly cores: number
}

interface Good {
  readonly rig: Rig
  readonly generator: Generator
  readonly client: HttpClient
  turn: number
}

/** Changes at a steady rate, each timed to all good streams. */
const measure = async (good: Good, changes: number): Promise<Measured> => {
  const { rig, generator, client } = good
  const receipts: number[] = []
  const lasts: number[] = []
  const cpuBefore = rig.cpuMs()
  const started = machineTime()
  for (let change = 0; change < changes; change += 1) {
    const wait = started + (change * 1_000) / perSecond - machineTime()
    if (wait > 0) await delay(wait)
    await generator.expect()
    good.turn += 1
    const body = JSON.stringify({ address: '10.0.0.1', port: 1_000 + (good.turn % 60_000), lease: null })
    const status = await client.send('PUT', `/api/v1/services/${service}/instances/${service}-1`, body)
    if (status >= 300) throw new Error(`a registration was answered with ${status}`)
    const answered = machineTime()
    const { at } = await generator.next()
    receipts.push(...at.map(time => time - answered))
    lasts.push((at.at(-1) ?? Number.NaN) - answered)
  }
  const elapsed = machineTime() - started
  return { receipts, lasts, cores: (rig.cpuMs() - cpuBefore) / elapsed }
}

/** A host of its own for clients that vanish; undefined where none is needed. */
const hostOf = async (kind: string): Promise<Network | undefined> => {
  if (badClientKinds[kind]?.vanishes !== true) return undefined
  const id = randomBytes(2)
  const prefix = `10.${200 + ((id[0] ?? 0) % 50)}.${id[1] ?? 0}`
  return Network.create({ name: `wb${id.toString('hex')}`, prefix, hosts: ['bad'] })
}

/** What good streams notice of bad clients of one kind, between a time without them and another. */
const besideKind = async (good: Good, kind: string, changes: number): Promise<string[][]> => {
  const before = await measure(good, changes)
  const network = await hostOf(kind)
  const host = network?.host('bad')
  const bad = new BenchProcess<BadClientHandlers>({ program, ...(host && { host }) })
  let during: Measured
  let counts: BadCounts
  let rss: number
  try {
    const [address] = good.rig.addresses
    if (address === undefined) throw new Error('there is no replica')
    const { port } = address
    const reached = network === undefined ? address : { host: network.address, port }
    await bad.ask('start', { kind, options: { address: reached, service } })
    await delay(leadMs)
    if (network !== undefined && host !== undefined) await network.cut(host)
    during = await measure(good, changes)
    rss = good.rig.residentBytes()
    counts = await bad.ask('counts', undefined)
  } finally {
    await bad.stop()
    await network?.destroy()
  }
  // What they leave behind is cleared away before the next kind.
  await delay(2 * leadMs)
  const { ends } = await good.generator.counts()
  const lost = Object.values(ends).reduce((sum, count) => sum + count, 0)
  const row = (what: string, { receipts, lasts, cores }: Measured, rest: readonly string[]): string[] => [
    what,
    `${milliseconds(median(receipts))} / ${milliseconds(percentile(receipts, 0.99))}`,
    `${milliseconds(median(lasts))} / ${milliseconds(percentile(lasts, 0.99))}`,
    `${(median(receipts) / median(before.receipts)).toFixed(2)}x`,
    cores.toFixed(2),
    ...rest,
  ]
  const seen = Object.entries(counts).map(([what, many]) => `${what}: ${figure(many)}`)
  return [
    row('nobody', before, ['', '', '']),
    row(badClientKinds[kind]?.what ?? kind, during, [
      `${figure(rss / 1e6)} MB`,
      seen.join(', '),
      String(lost),
    ]),
  ]
}

/** Latency of good streams, and CPU of the server, while bad clients act: one kind after the other. */
export const hostile = async ({ small }: BenchOptions): Promise<string> => {
  const changes = perSecond * (small ? 1 : 10)
  const unable = await whyNoNamespaces()
  const kinds = Object.keys(badClientKinds).filter(
    kind => unable === null || badClientKinds[kind]?.vanishes !== true,
  )
  // Clients on a host of their own come over its network.
  const rows = await withRig(unable === null ? { xdsHost: '0.0.0.0' } : {}, async rig => {
    const client = await HttpClient.open(rig.restUrl)
    const setup = {
      plan: { count: goodStreams, upstreams: [service] },
      order: 'envoy',
      watch: service,
    } as const
    return Generator.with(setup, async generator => {
      const good: Good = { rig, generator, client, turn: 0 }
      const body = JSON.stringify({ address: '10.0.0.1', port: 1_000, lease: null })
      await client.send('PUT', `/api/v1/services/${service}/instances/${service}-1`, body)
      await generator.connect({ addresses: rig.addresses })
      await measure(good, perSecond)
      const all: string[][] = []
      for (const kind of kinds) {
        progress(kind)
        all.push(...(await besideKind(good, kind, changes)))
      }
      client.close()
      return all
    })
  })
  const table = renderRows(
    [
      `beside ${goodStreams} good streams, ${perSecond} changes/s`,
      'answer to any receipt p50 / p99',
      'to the last receipt p50 / p99',
      'p50 to nobody',
      'cores',
      'RSS',
      'what the bad ones saw',
      'good streams lost',
    ],
    rows,
  )
  return unable === null ? table : `${table}\nwithout clients that vanish: ${unable}`
}
