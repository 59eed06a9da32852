import { open, stat } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from '@nats-io/transport-node'
import { Consumer, stringDeserializers } from '@platformatic/kafka'
import { percentile } from '../statistics.ts'

const timePattern = /"time":"([^"]+)"/
const idPattern = /"id":"([^"]+)"/
const pollMs = 1
const longestWaitMs = 5_000

/** By the ids of events. */
export interface Arrivals {
  readonly arrived: number
  readonly logged: number
  /** That came more than once. */
  readonly repeated: number
  /** That are of another time. */
  readonly others: number
}

/**
 * How old events are when a consumer sees them: by the wall clock of this machine, which Postgres has, too. An
 * event's time is taken right before its commit, so the figures are a little too large.
 */
export class EventLag {
  readonly #lags: number[] = []
  /** How often each id was heard. */
  readonly #heard = new Map<string, number>()
  readonly #stop: () => Promise<unknown>

  private constructor(start: (hear: (event: string) => void) => () => Promise<unknown>) {
    this.#stop = start(event => {
      const [time, id] = [timePattern, idPattern].map(pattern => pattern.exec(event)?.[1])
      if (time === undefined || id === undefined) return
      this.#lags.push(Date.now() - Date.parse(time))
      this.#heard.set(id, (this.#heard.get(id) ?? 0) + 1)
    })
  }

  /** Of a file with one event a line, and perhaps others, from an offset on; and of those that take its place. */
  static ofFile(path: string, from: number): EventLag {
    return new EventLag(hear => {
      const ended = new AbortController()
      const reading = (async () => {
        let file = await open(path, 'r')
        const buffer = Buffer.alloc(1_024 * 1_024)
        let position = from
        let rest = ''
        let replaced = false
        for (;;) {
          const { bytesRead } = await file.read(buffer, 0, buffer.length, position)
          if (bytesRead === 0) {
            if (ended.signal.aborted) break
            const there = await stat(path).catch(() => null)
            // Seen only after the last byte of the old one.
            if (replaced) {
              await file.close()
              file = await open(path, 'r')
              position = 0
            }
            replaced = there !== null && there.ino !== (await file.stat()).ino
            if (!replaced) await delay(pollMs)
            continue
          }
          position += bytesRead
          const lines = (rest + buffer.toString('utf8', 0, bytesRead)).split('\n')
          rest = lines.pop() ?? ''
          for (const line of lines) if (line.startsWith('{"specversion"')) hear(line)
        }
        await file.close()
      })()
      return () => {
        ended.abort()
        return reading
      }
    })
  }

  static async ofNats(address: string, subject: string): Promise<EventLag> {
    const connection = await connect({ servers: [address] })
    return new EventLag(hear => {
      connection.subscribe(subject, {
        callback: (error, message) => {
          if (error === null) hear(message.string())
        },
      })
      return () => connection.drain()
    })
  }

  static async ofKafka(address: string, topics: readonly string[]): Promise<EventLag> {
    const consumer = new Consumer({
      groupId: `lag-${process.hrtime.bigint()}`,
      clientId: 'lag',
      bootstrapBrokers: [address],
      deserializers: stringDeserializers,
    })
    const stream = await consumer.consume({
      topics: [...topics],
      mode: 'latest',
      autocommit: false,
      maxWaitTime: 100,
    })
    return new EventLag(hear => {
      stream.on('data', ({ value }) => {
        hear(value)
      })
      return async () => {
        await stream.close()
        await consumer.close(true)
      }
    })
  }

  percentile(share: number): number {
    return percentile(this.#lags, share)
  }

  /** Waits for what was logged, for a few seconds at most, and for more than that. */
  async stop(logged: ReadonlySet<string>): Promise<Arrivals> {
    const until = performance.now() + longestWaitMs
    while (this.#heard.size < logged.size && performance.now() < until) await delay(10)
    await delay(500)
    await this.#stop()
    const heard = [...this.#heard]
    return {
      arrived: heard.filter(([id]) => logged.has(id)).length,
      logged: logged.size,
      repeated: heard.filter(([, times]) => times > 1).length,
      others: heard.filter(([id]) => !logged.has(id)).length,
    }
  }
}
