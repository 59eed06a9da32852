import {
  kGetBootstrapConnection,
  kGetConnection,
  NetworkError,
  Producer,
  type Broker,
  type Callback,
  type Connection,
  type ProducerOptions,
} from '@platformatic/kafka'
import { isIP } from 'node:net'
import {
  allowedAddresses,
  deniedAddress,
  guardedLookup,
  parseHostPort,
  type AllowsAddress,
} from './guarded-address.ts'

type Options = ProducerOptions<string, string, string, string>

export interface GuardedProducerOptions extends Omit<Options, 'bootstrapBrokers'> {
  /** `host:port` */
  readonly brokers: readonly string[]
  readonly allowsAddress: AllowsAddress
}

/**
 * A producer that judges the address of each broker before it connects: of those to begin with and of those that
 * the brokers advertise, which may be anywhere. With TLS the sockets' lookup judges names; without, a name is
 * resolved here, once, and its addresses are connected to.
 */
export class GuardedProducer extends Producer<string, string, string, string> {
  readonly #allowsAddress: AllowsAddress
  readonly #bootstrap: readonly Broker[]
  readonly #secure: boolean
  readonly #addresses = new Map<string, Promise<readonly string[]>>()
  readonly #connections = new Set<Connection>()

  constructor({ brokers, allowsAddress, tls, ...options }: GuardedProducerOptions) {
    const bootstrap = brokers.map(parseHostPort)
    const lookup = guardedLookup(allowsAddress)
    super({
      ...options,
      bootstrapBrokers: bootstrap,
      ...(tls === undefined
        ? {}
        : {
            tls: { ...tls, lookup },
            // An address is no server name (RFC 6066 section 3).
            tlsServerName: bootstrap.some(({ host }) => isIP(host) === 0),
          }),
    })
    this.#allowsAddress = allowsAddress
    this.#bootstrap = bootstrap
    this.#secure = tls !== undefined
  }

  /** `broker`: undefined when the cluster has no leader for a partition now. */
  override [kGetConnection](broker: Broker | undefined, callback: Callback<Connection>): void {
    if (broker === undefined) {
      callback(new NetworkError('a broker is not there at the moment', { canRetry: true }))
      return
    }
    const { host } = broker
    const written = isIP(host) !== 0
    if (written && !this.#allowsAddress(host)) {
      callback(new NetworkError(`${host}: ${deniedAddress}`, { canRetry: false }))
    } else if (written || this.#secure) {
      super[kGetConnection](broker, this.#noting(callback))
    } else {
      this.#resolved(host).then(
        addresses => {
          const attempt = (next: Broker, done: Callback<Connection>): void => {
            super[kGetConnection](next, this.#noting(done))
          }
          firstOf(
            addresses.map(address => ({ ...broker, host: address })),
            attempt,
            callback,
          )
        },
        (error: unknown) => {
          callback(new NetworkError(error instanceof Error ? error.message : String(error)))
        },
      )
    }
  }

  override [kGetBootstrapConnection](callback: Callback<Connection>, attempt = 0): void {
    const known = [...this.#bootstrap, ...(this.currentMetadata?.brokers.values() ?? [])]
    const first = attempt % known.length
    const connect = (broker: Broker, done: Callback<Connection>): void => {
      this[kGetConnection](broker, done)
    }
    firstOf([...known.slice(first), ...known.slice(0, first)], connect, callback)
  }

  /** Ends at once, also when a broker no longer reads what was sent to it: the library would wait for that. */
  async abandon(): Promise<void> {
    for (const { socket } of this.#connections) socket.destroy()
    await this.close(true)
  }

  #noting(callback: Callback<Connection>): Callback<Connection> {
    return (error, connection) => {
      if (connection !== undefined && !this.#connections.has(connection)) {
        this.#connections.add(connection)
        connection.once('close', () => this.#connections.delete(connection))
      }
      callback(error, connection)
    }
  }

  /** Kept as long as the producer, which the sink replaces after a failure. */
  #resolved(host: string): Promise<readonly string[]> {
    const known = this.#addresses.get(host)
    if (known !== undefined) return known
    const addresses = allowedAddresses(host, this.#allowsAddress)
    this.#addresses.set(host, addresses)
    return addresses
  }
}

/** The first connection that can be made; the last error if there is none. */
const firstOf = (
  [broker, ...others]: readonly Broker[],
  connect: (broker: Broker, done: Callback<Connection>) => void,
  callback: Callback<Connection>,
): void => {
  if (broker === undefined) return
  connect(broker, (error, connection) => {
    if (error === null || others.length === 0) callback(error, connection)
    else firstOf(others, connect, callback)
  })
}
