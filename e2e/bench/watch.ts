import { setTimeout as delay } from 'node:timers/promises'
import { machineTime } from '../harness/machine-time.ts'
import { progress, type BenchOptions } from './bench-options.ts'
import { BenchProcess } from './bench-process.ts'
import type { ProfileWindow } from './cpu-profile.ts'
import type { WatchLoadHandlers } from './generator/watch-load-process.ts'
import { HttpClient } from './http-client.ts'
import { withRig } from './rig.ts'
import { checkOpenFiles, processCpuMs } from './server-figures.ts'
import type { BareWatchHandlers } from './servers/bare-watch-process.ts'
import { figure, median, milliseconds, percentile } from './statistics.ts'
import { renderRows } from './table.ts'

const instances = 10
const watchPath = '/api/v1/watch?services=payments'
const queryPath = '/api/v1/services/payments/instances?wait=30s'
/** How long all of them may take to hear of a change. */
const patienceMs = 30_000

const program = (name: string): string => new URL(name, import.meta.url).pathname

const registration = (index: number, port: number): string =>
  JSON.stringify({ address: `10.0.0.${index}`, port, version: 'v1', lease: null })

interface Round {
  readonly watched: readonly number[]
  readonly queried: readonly number[]
  readonly cpuMs: number
  readonly generatorMs: number
}

interface Contender {
  readonly name: string
  readonly url: string
  readonly pid: number
  readonly writer: HttpClient
  readonly rounds: Round[]
}

/** Writes, and returns the revision that it made. */
const write = async (writer: HttpClient, index: number, port: number): Promise<number> => {
  const path = `/api/v1/services/payments/instances/i-${index}`
  const status = await writer.send('PUT', path, registration(index, port))
  if (status !== 200 && status !== 201) throw new Error(`a registration was answered with ${status}`)
  return Number(/\r\nx-waymark-revision: *(\d+)/i.exec(writer.lastHead)?.[1])
}

/** One event as the server writes it, without its id. */
const anEvent = async (url: string, writer: HttpClient): Promise<Buffer> => {
  const { body } = await fetch(url + watchPath)
  if (body === null) throw new Error('a watch has no body')
  const decoder = new TextDecoder()
  let text = ''
  await write(writer, 0, 8_999)
  const chunks: AsyncIterable<Uint8Array> = body
  for await (const chunk of chunks) {
    text += decoder.decode(chunk, { stream: true })
    const [, event] = /^id: \d+\n(event: change\n.*?\n\n)/ms.exec(text) ?? []
    if (event !== undefined) return Buffer.from(event)
  }
  throw new Error('a watch has ended')
}

const allArrivals = async (
  load: BenchProcess<WatchLoadHandlers>,
  url: string,
  revision: number,
  each: number,
) => {
  const deadline = machineTime() + patienceMs
  for (;;) {
    const arrivals = await load.ask('arrivals', { url, revision })
    if (arrivals.watched.length >= each && arrivals.queried.length >= each) return arrivals
    if (machineTime() > deadline) {
      throw new Error(
        `revision ${revision} came to ${arrivals.watched.length} watchers and ${arrivals.queried.length} queries ` +
          `of ${each} each within ${patienceMs} ms`,
      )
    }
    await delay(50)
  }
}

const runRound = async (
  { url, pid, writer }: Contender,
  load: BenchProcess<WatchLoadHandlers>,
  round: number,
  each: number,
): Promise<Round> => {
  const [cpuBefore, generatorBefore] = [processCpuMs(pid), processCpuMs(load.pid)]
  const revision = await write(writer, 0, 9_000 + round)
  const at = machineTime()
  const { watched, queried } = await allArrivals(load, url, revision, each)
  const since = (times: readonly number[]): number[] => times.map(time => time - at)
  // What is asked again is part of it.
  await delay(100)
  return {
    watched: since(watched),
    queried: since(queried),
    cpuMs: processCpuMs(pid) - cpuBefore,
    generatorMs: processCpuMs(load.pid) - generatorBefore,
  }
}

const render = ([bare, waymark]: readonly [Contender, Contender], each: number): string => {
  const kinds = {
    [`${each} watchers (events)`]: ({ watched }: Round) => watched,
    [`${each} blocking queries`]: ({ queried }: Round) => queried,
  }
  const timeRows = Object.entries(kinds).flatMap(([kind, timesOf]) => {
    const p50 = ({ rounds }: Contender) => median(rounds.map(round => percentile(timesOf(round), 0.5)))
    const last = ({ rounds }: Contender) => median(rounds.map(round => Math.max(...timesOf(round))))
    return [bare, waymark].map(contender => [
      `${kind}: ${contender.name}`,
      milliseconds(p50(contender)),
      `${(p50(contender) / p50(bare)).toFixed(2)}x`,
      milliseconds(last(contender)),
      `${(last(contender) / last(bare)).toFixed(2)}x`,
      milliseconds(Math.max(...contender.rounds.flatMap(timesOf))),
    ])
  })
  // The system counts CPU in steps of 10 ms: a mean over all rounds.
  const mean = (rounds: readonly Round[], of: (round: Round) => number): number =>
    rounds.reduce((sum, round) => sum + of(round), 0) / rounds.length
  const cpuRows = [bare, waymark].map(({ name, rounds }) => {
    const cpu = mean(rounds, ({ cpuMs }) => cpuMs)
    const bareCpu = mean(bare.rounds, ({ cpuMs }) => cpuMs)
    const generator = mean(rounds, ({ generatorMs }) => generatorMs)
    return [
      name,
      `${figure(cpu)} ms`,
      `${figure((cpu * 1_000) / (2 * each))} us`,
      `${(cpu / bareCpu).toFixed(2)}x`,
      `${figure(generator)} ms`,
    ]
  })
  const head = `change to answer, ${waymark.rounds.length} changes`
  return [
    renderRows([head, 'p50', 'to bare', 'last', 'to bare', 'worst last'], timeRows),
    renderRows(['CPU per change', 'server', 'for each', 'to bare', 'generator'], cpuRows),
  ].join('\n\n')
}

/**
 * From the answer to a write to its arrival at each of many watchers and blocking queries of one service, in turn with a
 * bare node:http server that sends the same bytes.
 */
export const watch = async ({ small, profile }: BenchOptions): Promise<string> => {
  const each = small ? 100 : 1_000
  const rounds = small ? 5 : 20
  checkOpenFiles(4 * each)
  const window: ProfileWindow = { from: 0, to: Number.POSITIVE_INFINITY }
  return withRig(profile ? { profile: { window } } : {}, async rig => {
    const url = rig.restUrl
    const writer = await HttpClient.open(url)
    for (let n = 0; n < instances; n += 1) await write(writer, n, 8080)
    const event = await anEvent(url, writer)
    await writer.send('GET', queryPath)
    const answer = writer.lastBody
    const load = new BenchProcess<WatchLoadHandlers>({ program: program('generator/watch-load-process.ts') })
    const bare = new BenchProcess<BareWatchHandlers>({ program: program('servers/bare-watch-process.ts') })
    const headers = Object.fromEntries(
      writer.lastHead
        .split('\r\n')
        .slice(1)
        .map(line => [
          line.slice(0, line.indexOf(':')).toLowerCase(),
          line.slice(line.indexOf(':') + 1).trim(),
        ])
        .filter(([name]) => !['connection', 'date', 'keep-alive', 'x-waymark-revision'].includes(name ?? '')),
    ) as Record<string, string>
    const writers = [writer]
    try {
      const bareUrl = await bare.ask('serve', { watchPath, event, answer, headers })
      const bareWriter = await HttpClient.open(bareUrl)
      writers.push(bareWriter)
      const contenders: readonly [Contender, Contender] = [
        { name: 'bare node:http', url: bareUrl, pid: bare.pid, writer: bareWriter, rounds: [] },
        { name: 'Waymark', url, pid: rig.pid(), writer, rounds: [] },
      ]
      for (const one of contenders) {
        const index = await write(one.writer, 0, 8_998)
        await load.ask('open', { url: one.url, watchPath, watchers: each, queryPath, queries: each, index })
      }
      progress(`${each} watchers and ${each} blocking queries are open at each server`)
      window.from = machineTime()
      for (let round = 0; round <= rounds; round += 1) {
        for (const contender of contenders) {
          const result = await runRound(contender, load, round, each)
          // The first change warms up.
          if (round > 0) contender.rounds.push(result)
        }
      }
      window.to = machineTime()
      await load.ask('close', undefined)
      return render(contenders, each)
    } finally {
      for (const one of writers) one.close()
      await Promise.all([load.stop(), bare.stop()])
    }
  })
}
