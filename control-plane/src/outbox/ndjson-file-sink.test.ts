import { appendFile, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NdjsonFileSink } from './ndjson-file-sink.ts'
import { describeSink, encodedEvents, type SinkUnderTest } from './sink-contract.ts'

const linesOf = async (path: string): Promise<string[]> =>
  (await readFile(path, 'utf8').catch(() => '')).split('\n').filter(line => line !== '')
const idOf = (line: string): string => (JSON.parse(line) as { id: string }).id

const create = async (): Promise<SinkUnderTest> => {
  const folder = await mkdtemp(join(tmpdir(), 'waymark-sink-'))
  const path = join(folder, 'events.ndjson')
  const away = `${folder}-away`
  return {
    sink: new NdjsonFileSink({ name: 'audit', path }),
    received: async () => (await linesOf(path)).map(idOf),
    breakDown: async () => {
      await rename(folder, away)
    },
    repair: async () => {
      await rename(away, folder)
    },
    destroy: async () => {
      await rm(folder, { recursive: true })
    },
  }
}

describeSink('an NDJSON file', create)

describe('the NDJSON file sink', () => {
  const signal = new AbortController().signal
  let folder: string
  let path: string
  let sink: NdjsonFileSink

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'waymark-sink-'))
    path = join(folder, 'events.ndjson')
    sink = new NdjsonFileSink({ name: 'audit', path })
  })
  afterEach(async () => {
    await sink.close()
    await rm(folder, { recursive: true })
  })

  it('writes the very JSON of the event, for its owner and group only', async () => {
    const events = encodedEvents(1, 2)
    await sink.deliver(events, signal)
    expect(await readFile(path, 'utf8')).toBe(events.map(({ json }) => `${json}\n`).join(''))
    expect((await stat(path)).mode & 0o137).toBe(0)
  })

  it('opens a new file after log rotation', async () => {
    const [first, second] = encodedEvents(1, 2)
    if (first === undefined || second === undefined) throw new Error('no events')
    await sink.deliver([first], signal)
    await rename(path, `${path}.1`)
    await sink.deliver([second], signal)
    expect(await linesOf(`${path}.1`)).toEqual([first.json])
    expect(await linesOf(path)).toEqual([second.json])
  })

  it('keeps what a crash has cut apart from the next event', async () => {
    const events = encodedEvents(1, 2)
    const whole = events.map(({ json }) => json)
    await sink.deliver(events.slice(0, 1), signal)
    await appendFile(path, whole[1]?.slice(0, 30) ?? '')
    const successor = new NdjsonFileSink({ name: 'audit', path })
    await successor.deliver(events.slice(1), signal)
    await successor.close()
    expect(await linesOf(path)).toEqual([whole[0], whole[1]?.slice(0, 30), whole[1]])
  })

  it('keeps what another owner has left torn meanwhile apart, too', async () => {
    const events = encodedEvents(1, 3)
    const whole = events.map(({ json }) => json)
    await sink.deliver(events.slice(0, 1), signal)
    await appendFile(path, 'torn')
    await sink.deliver(events.slice(1, 2), signal)
    await sink.deliver(events.slice(2), signal)
    expect(await linesOf(path)).toEqual([whole[0], 'torn', whole[1], whole[2]])
  })

  it('changes nothing of a file that was there before', async () => {
    await writeFile(path, 'somebody else wrote this')
    await sink.deliver(encodedEvents(1, 1), signal)
    expect((await linesOf(path))[0]).toBe('somebody else wrote this')
  })
})
