import { jetstreamManager, JetStreamApiError } from '@nats-io/jetstream'
import { connect, headers, PermissionViolationError, type NatsConnection } from '@nats-io/transport-node'
import { isIP } from 'node:net'
import { hostPort } from '@waymark/sidecar-config/model/host-port.ts'
import type { Clock } from '../runtime/clock.ts'
import type { EncodedEvent } from './cloud-event.ts'
import { allowedAddresses, parseHostPort, type AllowsAddress, type HostAndPort } from './guarded-address.ts'
import { JetStreamPublisher, NoStreamError, type JetStreamMessage } from './jetstream-publisher.ts'
import { natsGreeting } from './nats-greeting.ts'
import { natsAuthenticator, type NatsLogin } from './nats-login.ts'
import { DeliveryError, toDeliveryError, type Sink } from './sink.ts'
import { sinkLimits } from './sink-limits.ts'
import { nextWave } from './wave.ts'
import { withinTime, type TimeLimit } from './within-time.ts'

export interface NatsSinkOptions extends NatsLogin {
  readonly name: string
  /** `host:port` */
  readonly servers: readonly string[]
  readonly login: { readonly user?: string; readonly pass?: string; readonly token?: string }
  /** null: plain text. */
  readonly tls: { readonly ca?: string; readonly cert?: string; readonly key?: string } | null
  readonly subjectPrefix: string
  /** Where acknowledgements come. */
  readonly inboxPrefix: string
  /** Made for the subjects if there is none; null: somebody else has made it. */
  readonly createStream: string | null
  readonly timeoutMs: number
  readonly clock: Clock
  /** Judges the address of each server. */
  readonly allowsAddress: AllowsAddress
}

/** JetStream's error code for a stream that is not there. */
const notFound = 10_059
/** JetStream's error codes for a message that the stream does not take because of its size. */
const tooLarge = new Set([10_054, 10_142])

interface Connected {
  readonly connection: NatsConnection
  readonly publisher: JetStreamPublisher
}

/**
 * Publishes events to JetStream, each with its id as message id, so that the stream drops repetitions within its
 * window. Events of one aggregate are never under way at the same time: whatever fails, none overtakes another.
 */
export class NatsSink implements Sink {
  readonly name: string
  readonly kind = 'nats'
  readonly maxBatch = sinkLimits.nats.maxBatch
  readonly maxBatchBytes = sinkLimits.nats.maxBatchBytes
  readonly #options: NatsSinkOptions
  #connected: Connected | null = null

  constructor(options: NatsSinkOptions) {
    this.name = options.name
    this.#options = options
  }

  async deliver(events: readonly EncodedEvent[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (events.length === 0) return
    const { timeoutMs: ms, clock } = this.#options
    const limit = { ms, clock, signal, what: 'the servers' }
    let delivered = 0
    try {
      const { connection, publisher } = await this.#opened(limit)
      const largest = connection.info?.max_payload ?? Infinity
      while (delivered < events.length) {
        const wave = nextWave(events, delivered)
        const tooLarge = wave.findIndex(({ bytes }) => bytes + headerRoom > largest)
        if (tooLarge === 0)
          throw new DeliveryError(`NATS: ${wave[0]?.bytes ?? 0} bytes are more than the server takes`, {
            kind: 'poison',
          })
        const sent = tooLarge === -1 ? wave : wave.slice(0, tooLarge)
        const messages = sent.map(event => toMessage(event, this.#options.subjectPrefix))
        const { stored, error } = await withinTime(publisher.publish(messages), limit)
        delivered += stored
        if (error !== null) throw error
      }
    } catch (error) {
      const failure = toFailure(await this.#ofMissingStream(error), delivered)
      if (failure.kind !== 'poison') await this.close()
      throw failure
    }
  }

  async close(): Promise<void> {
    const connected = this.#connected
    this.#connected = null
    await connected?.connection.close().catch(() => undefined)
  }

  async #ofMissingStream(error: unknown): Promise<unknown> {
    const denied = error instanceof PermissionViolationError
    if (!denied && !(error instanceof NoStreamError)) return error
    const { subject } = error
    const log = `${this.#options.subjectPrefix}.log`
    // Only a gap in the log goes there: a sink without a stream for it must not wait for ever.
    const poison = subject === log && (denied || !(await this.#isTaken(log)))
    // What the server has refused once, the connection remembers.
    if (denied && poison) await this.close()
    const message = denied ? error.message : `${error.message} for us`
    return new DeliveryError(`NATS: ${message}`, { kind: poison ? 'poison' : 'unready', cause: error })
  }

  /** A server that has just started knows no streams yet, but does not answer this then either: that counts as yes. */
  async #isTaken(subject: string): Promise<boolean> {
    const connection = this.#connected?.connection
    if (connection === undefined) return true
    try {
      const manager = await jetstreamManager(connection, {
        timeout: this.#options.timeoutMs,
        checkAPI: false,
      })
      await manager.streams.find(subject)
      return true
    } catch (error) {
      return !(error instanceof JetStreamApiError && error.code === notFound)
    }
  }

  async #opened(limit: TimeLimit): Promise<Connected> {
    if (this.#connected !== null) return this.#connected
    const connecting = this.#connect()
    try {
      return (this.#connected = await withinTime(connecting, limit))
    } catch (error) {
      // A connection that comes too late is nobody's.
      connecting.then(({ connection }) => connection.close()).catch(() => undefined)
      throw error
    }
  }

  async #connect(): Promise<Connected> {
    const { timeoutMs, createStream, subjectPrefix, inboxPrefix } = this.#options
    const connection = await this.#connectToOne()
    try {
      if (createStream !== null) {
        const manager = await jetstreamManager(connection, { timeout: timeoutMs })
        const known = await manager.streams.find(`${subjectPrefix}.>`).catch(() => null)
        if (known === null)
          await manager.streams.add({ name: createStream, subjects: [`${subjectPrefix}.>`], num_replicas: 1 })
      }
      return { connection, publisher: new JetStreamPublisher(connection, inboxPrefix) }
    } catch (error) {
      await connection.close().catch(() => undefined)
      throw error
    }
  }

  /** In the order of the settings. The servers that these know of are not asked: they could be anywhere. */
  async #connectToOne(): Promise<NatsConnection> {
    const { servers, allowsAddress } = this.#options
    let failure: unknown = new Error('no server')
    for (const server of servers.map(parseHostPort)) {
      try {
        for (const address of await allowedAddresses(server.host, allowsAddress)) {
          try {
            return await this.#dial(server, address)
          } catch (error) {
            failure = error
          }
        }
      } catch (error) {
        failure = error
      }
    }
    throw failure
  }

  async #dial({ host, port }: HostAndPort, address: string): Promise<NatsConnection> {
    const { name, login, tls, inboxPrefix, timeoutMs, clock } = this.#options
    const authenticator = natsAuthenticator(this.#options)
    const ms = Math.min(timeoutMs, 5_000)
    await natsGreeting({ address, port, ms, clock })
    // What the certificate has to say, while the address is what was judged.
    const secured = { ...tls, ...(isIP(host) === 0 ? { servername: host } : {}) }
    return connect({
      servers: [hostPort({ host: address, port })],
      ...login,
      ...(authenticator === null ? {} : { authenticator }),
      ...(tls === null ? {} : { tls: secured }),
      name: `waymark-${name}`,
      timeout: ms,
      inboxPrefix,
      ignoreClusterUpdates: true,
      // The publisher connects again, and says meanwhile why.
      reconnect: false,
    })
  }
}

/** The headers count towards the server's limit. */
const headerRoom = 512

/** `{prefix}.instance.{service}`, `{prefix}.document.{kind}`: a dot in a name would begin another word. */
const subjectOf = ({ partitionkey }: EncodedEvent['event'], prefix: string): string => {
  const [type = '', group] = partitionkey.split('/')
  return [prefix, type, ...(group === undefined ? [] : [group.replaceAll(/[.*>\s]/g, '_')])].join('.')
}

const toMessage = ({ event, json }: EncodedEvent, prefix: string): JetStreamMessage => {
  const content = headers()
  content.set('Nats-Msg-Id', event.id)
  content.set('content-type', 'application/cloudevents+json; charset=UTF-8')
  return { subject: subjectOf(event, prefix), payload: json, headers: content }
}

const toFailure = (error: unknown, delivered: number): DeliveryError => {
  if (error instanceof JetStreamApiError) {
    const kind = tooLarge.has(error.code) ? 'poison' : 'retryable'
    return new DeliveryError(`NATS: ${error.message}`, { kind, delivered, cause: error })
  }
  const { kind, message, retryAfterMs } = toDeliveryError(error)
  const text = message.startsWith('NATS: ') ? message : `NATS: ${message}`
  return new DeliveryError(text.slice(0, 300), { kind, delivered, retryAfterMs, cause: error })
}
