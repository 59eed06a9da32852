import { jetstreamManager } from '@nats-io/jetstream'
import { connect, type Authenticator } from '@nats-io/transport-node'
import { Consumer, stringDeserializers } from '@platformatic/kafka'

/** What a consumer sees of an event. */
export interface Arrival {
  readonly id: string
  /** Events with the same one have to be in order among themselves. */
  readonly key: string
  readonly headers: Readonly<Record<string, string>>
  /** `topic` or subject. */
  readonly place: string
  readonly value: string
}

const idOf = (value: string): string => (JSON.parse(value) as { readonly id?: string }).id ?? ''

/** Everything in these topics, partition by partition in the order of the log. */
export const readKafka = async (
  address: string,
  {
    topics,
    sasl,
  }: { readonly topics: readonly string[]; readonly sasl?: { username: string; password: string } },
): Promise<readonly Arrival[]> => {
  const consumer = new Consumer({
    groupId: `reader-${process.hrtime.bigint()}`,
    clientId: 'reader',
    bootstrapBrokers: [address],
    deserializers: stringDeserializers,
    retries: 5,
    retryDelay: 100,
    ...(sasl === undefined ? {} : { sasl: { mechanism: 'SCRAM-SHA-512' as const, ...sasl } }),
  })
  try {
    const ends = await consumer.listOffsets({ topics: [...topics] })
    let waiting = [...ends.values()].flat().reduce((sum, end) => sum + Number(end), 0)
    const arrivals: Arrival[] = []
    if (waiting === 0) return arrivals
    const stream = await consumer.consume({
      topics: [...topics],
      mode: 'earliest',
      autocommit: false,
      maxWaitTime: 50,
    })
    for await (const { topic, key, value, headers } of stream) {
      const texts = Object.fromEntries(headers)
      arrivals.push({
        id: texts['ce_id'] ?? idOf(value),
        key: `${topic}/${key}`,
        headers: texts,
        place: topic,
        value,
      })
      waiting -= 1
      if (waiting === 0) break
    }
    await stream.close()
    return arrivals
  } finally {
    await consumer.close(true)
  }
}

/** Everything in a stream, in its order. */
export const readNats = async (
  address: string,
  stream: string,
  authenticator?: Authenticator,
): Promise<readonly Arrival[]> => {
  const login = authenticator === undefined ? {} : { authenticator }
  const connection = await connect({ servers: [address], name: 'reader', ...login })
  try {
    const manager = await jetstreamManager(connection)
    const { state } = await manager.streams.info(stream)
    const arrivals: Arrival[] = []
    if (state.messages === 0) return arrivals
    const { jetstream } = await import('@nats-io/jetstream')
    const consumer = await jetstream(connection).consumers.get(stream)
    const messages = await consumer.consume()
    for await (const message of messages) {
      const value = message.string()
      const parsed = JSON.parse(value) as { readonly partitionkey: string }
      const id = message.headers?.get('Nats-Msg-Id') ?? ''
      arrivals.push({ id, key: parsed.partitionkey, headers: {}, place: message.subject, value })
      if (message.seq >= state.last_seq) break
    }
    await messages.close()
    return arrivals
  } finally {
    await connection.close()
  }
}
