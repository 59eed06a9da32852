import { open, stat } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from '@nats-io/transport-node'
import { Consumer, stringDeserializers } from '@platformatic/kafka'
import { percentile } from '../statistics.ts'

const timePattern = /"time":"([^"]+)"/
const pollMs = 1

/**
 * How old events are when a consumer sees them: by the wall clock of this machine, which Postgres has, too. An
 * event's time is taken right before its commit, so the figures are a little too large.
 */
export class EventLag {
  readonly #lags: number[] = []
  readonly #stop: () => Promise<unknown>

  private constructor(start: (hear: (event: string) => void) => () => Promise<unknown>) {
    this.#stop = start(event => {
      const time = timePattern.exec(event)?.[1]
      if (time !== undefined) this.#lags.push(Date.now() - Date.parse(time))
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

  get count(): number {
    return this.#lags.length
  }

  percentile(share: number): number {
    return percentile(this.#lags, share)
  }

  async stop(): Promise<void> {
    await delay(500)
    await this.#stop()
  }
}
