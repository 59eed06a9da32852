import { ProduceAcks, stringSerializers, UserError, type SASLOptions } from '@platformatic/kafka'
import type { SecureContextOptions } from 'node:tls'
import type { Clock } from '../runtime/clock.ts'
import type { EncodedEvent } from './cloud-event.ts'
import type { AllowsAddress } from './guarded-address.ts'
import { GuardedProducer } from './guarded-producer.ts'
import { DeliveryError, type Sink } from './sink.ts'
import { sinkLimits } from './sink-limits.ts'
import { withinTime } from './within-time.ts'

export interface KafkaSinkOptions {
  readonly name: string
  /** `host:port` */
  readonly brokers: readonly string[]
  readonly topicPrefix: string
  readonly createTopics: boolean
  readonly format: 'structured' | 'binary'
  readonly timeoutMs: number
  /** null: plain text. */
  readonly tls: SecureContextOptions | null
  readonly sasl: SASLOptions | null
  /** Judges every broker, also those that brokers advertise. */
  readonly allowsAddress: AllowsAddress
  readonly clock: Clock
}

/** What the broker says of the event itself: it would say so again. */
const poisonous = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD'])

const retryDelayMs = 100
/** A topic that was just created has no leader for a moment. */
const creationRetries = 20

type Message = Parameters<GuardedProducer['send']>[0]['messages'][number]

const contentType = 'application/cloudevents+json; charset=UTF-8'

/**
 * Produces events to Kafka as its CloudEvents binding says. All events of one aggregate have one key, so they are
 * in one partition, in order; the producer is idempotent and waits for all replicas in sync.
 */
export class KafkaSink implements Sink {
  readonly name: string
  readonly kind = 'kafka'
  readonly maxBatch = sinkLimits.kafka.maxBatch
  readonly maxBatchBytes = sinkLimits.kafka.maxBatchBytes
  readonly #options: KafkaSinkOptions
  /** Known to exist. */
  readonly #topics = new Set<string>()
  #producer: GuardedProducer | null = null

  constructor(options: KafkaSinkOptions) {
    this.name = options.name
    this.#options = options
  }

  async deliver(events: readonly EncodedEvent[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (events.length === 0) return
    const { timeoutMs, clock } = this.#options
    const messages = events.map(event => toMessage(event, this.#options))
    try {
      await withinTime(this.#send(messages), { ms: timeoutMs, clock, signal, what: 'the brokers' })
    } catch (error) {
      const failure = toFailure(error)
      if (failure.kind !== 'poison') await this.close()
      throw failure
    }
  }

  async close(): Promise<void> {
    const producer = this.#producer
    this.#producer = null
    this.#topics.clear()
    // Nothing is lost by it: what was not acknowledged is delivered again.
    await producer?.abandon().catch(() => undefined)
  }

  async #send(messages: Message[]): Promise<void> {
    const producer = (this.#producer ??= this.#connect())
    const topics = [...new Set(messages.map(({ topic }) => topic))]
    await this.#find(
      producer,
      topics.filter(topic => !this.#topics.has(topic)),
    )
    await producer.send({ messages, idempotent: true, acks: ProduceAcks.ALL }).catch((error: unknown) => {
      throw this.#ofMissingTopics(topics, error)
    })
  }

  /** What may be wrong from the beginning (no broker, no topic, no access) is asked for first, once. */
  async #find(producer: GuardedProducer, topics: readonly string[]): Promise<void> {
    if (topics.length === 0) return
    const { createTopics } = this.#options
    const retries = createTopics ? creationRetries : 0
    // Who cannot be reached is said at once, not after the attempts that a new topic needs.
    if (this.#topics.size === 0) await producer.metadata({ topics: [], retries: 0 })
    // One by one, to know which one is missing.
    for (const topic of topics) {
      await producer
        .metadata({ topics: [topic], autocreateTopics: createTopics, retries })
        .catch((error: unknown) => {
          throw this.#ofMissingTopics([topic], error)
        })
      this.#topics.add(topic)
    }
  }

  #ofMissingTopics(topics: readonly string[], error: unknown): unknown {
    const why = whyNoTopic(error)
    if (why === null) return error
    // Only a gap in the log goes there: without that topic the sink must not wait for ever.
    const onlyLog = topics.every(topic => topic === `${this.#options.topicPrefix}.log`)
    const message = `Kafka: ${why} ${topics.join(' or ')}`
    return new DeliveryError(message, { kind: onlyLog ? 'poison' : 'unready', cause: error })
  }

  #connect(): GuardedProducer {
    const { name, brokers, tls, sasl, timeoutMs, createTopics, allowsAddress } = this.#options
    return new GuardedProducer({
      clientId: `waymark-${name}`,
      brokers,
      allowsAddress,
      autocreateTopics: createTopics,
      serializers: stringSerializers,
      timeout: timeoutMs,
      requestTimeout: timeoutMs,
      connectTimeout: Math.min(timeoutMs, 5_000),
      // Said of the producer as a whole, `idempotent` would have it try for ever and say nothing meanwhile.
      maxInflights: 1,
      retries: 1,
      retryDelay: retryDelayMs,
      ...(tls === null ? {} : { tls }),
      ...(sasl === null ? {} : { sasl }),
    })
  }
}

const toMessage = (
  { event, data, json }: EncodedEvent,
  { topicPrefix, format }: Pick<KafkaSinkOptions, 'topicPrefix' | 'format'>,
): Message => {
  const { datacontenttype, ...attributes } = event
  const [aggregateType = ''] = event.partitionkey.split('/', 1)
  const common = {
    topic: `${topicPrefix}.${aggregateType}`,
    key: event.subject,
    timestamp: BigInt(Date.parse(event.time)),
  }
  if (format === 'structured') return { ...common, value: json, headers: { 'content-type': contentType } }
  const headers = Object.entries(attributes).map(([name, value]) => [`ce_${name}`, String(value)])
  return {
    ...common,
    value: data,
    headers: { 'content-type': datacontenttype, ...(Object.fromEntries(headers) as Record<string, string>) },
  }
}

interface Described {
  readonly message: string
  readonly apiId?: unknown
  readonly errors?: readonly unknown[]
  readonly cause?: unknown
}

const isDescribed = (error: unknown): error is Described & Error => error instanceof Error

/** The innermost errors: what the brokers or the system said. */
const leaves = (error: unknown): Described[] => {
  if (!isDescribed(error)) return []
  const below = [...(error.errors ?? []), error.cause].flatMap(leaves)
  return below.length > 0 && error.apiId === undefined ? below : [error]
}

/** Of an unknown topic the library makes an error of its own. */
const whyNoTopic = (error: unknown): string | null => {
  const said = new Set(leaves(error).map(({ apiId }) => apiId))
  if (said.has('TOPIC_AUTHORIZATION_FAILED')) return 'not authorized to write to topic'
  const unknown = error instanceof UserError && error.message.startsWith('Unknown topic')
  return unknown || said.has('UNKNOWN_TOPIC_OR_PARTITION') ? 'there is no topic' : null
}

const toFailure = (error: unknown): DeliveryError => {
  if (error instanceof DeliveryError) return error
  const said = leaves(error)
  const messages = [
    ...new Set(said.map(({ apiId, message }) => (typeof apiId === 'string' ? apiId : message))),
  ]
  const kind = said.some(({ apiId }) => poisonous.has(String(apiId))) ? 'poison' : 'retryable'
  return new DeliveryError(`Kafka: ${messages.slice(0, 3).join('; ').slice(0, 300)}`, { kind, cause: error })
}
