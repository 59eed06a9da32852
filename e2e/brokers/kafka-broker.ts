import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Producer } from '@platformatic/kafka'
import { isPortOpen } from '../bench/port-open.ts'
import { runCommand } from '@waymark/deploy/local/run-command.ts'
import type { ManagedProcess, Supervisor } from '@waymark/deploy/local/processes.ts'
import { eventually } from '../harness/eventually.ts'
import type { KafkaFiles } from './find-brokers.ts'

export interface KafkaBrokerOptions {
  readonly files: KafkaFiles
  readonly supervisor: Supervisor
  /** Its log and its settings; made anew. */
  readonly directory: string
  /** Of the listener without a password, of the one with, of the controller. */
  readonly ports: readonly [number, number, number]
  /** Two listeners more, with TLS. */
  readonly secure?: {
    /** Of the one that asks for a client certificate, of the one that asks for a password. */
    readonly ports: readonly [number, number]
    /** PEM. */
    readonly root: string
    readonly certificate: string
    readonly key: string
  }
}

/** Who may log in at the listeners with passwords. */
export const kafkaUser = { username: 'waymark', password: 'kafka-secret' } as const
/** Who may log in with PLAIN, too, but may use no topic. */
export const kafkaStranger = { username: 'stranger', password: 'stranger-secret' } as const

const startMs = 60_000

/** 16 bytes. The first character must be none that begins an option. */
const clusterId = (): string => `A${randomBytes(16).toString('base64url').slice(1)}`

/** Apache Kafka in KRaft mode, broker and controller in one process. */
export class KafkaBroker {
  readonly address: string
  readonly securedAddress: string
  /** With TLS and client certificates, with TLS and passwords; empty without `secure`. */
  readonly certifiedAddress: string
  readonly encryptedAddress: string
  readonly #options: KafkaBrokerOptions
  readonly #properties: string
  #process: ManagedProcess | null = null
  #starts = 0

  private constructor(options: KafkaBrokerOptions) {
    this.#options = options
    this.#properties = join(options.directory, 'server.properties')
    this.address = `127.0.0.1:${options.ports[0]}`
    this.securedAddress = `127.0.0.1:${options.ports[1]}`
    const [certified, encrypted] = options.secure?.ports ?? []
    this.certifiedAddress = certified === undefined ? '' : `localhost:${certified}`
    this.encryptedAddress = encrypted === undefined ? '' : `localhost:${encrypted}`
  }

  static async start(options: KafkaBrokerOptions): Promise<KafkaBroker> {
    const broker = new KafkaBroker(options)
    await broker.#format()
    await broker.start()
    return broker
  }

  /** Resolves when it takes connections. */
  async start(): Promise<void> {
    this.#starts += 1
    const started = this.#options.supervisor.start({
      name: `kafka-${this.#options.ports[0]}-${this.#starts}`,
      group: 'brokers',
      ...this.#java('kafka.Kafka', this.#properties),
    })
    this.#process = started
    const [port] = this.#options.ports
    await eventually('Kafka to take connections', () => isPortOpen({ host: '127.0.0.1', port }), startMs)
    // It takes them before it has read its log again.
    await eventually('Kafka to take producers', () => this.#takesProducers(), startMs)
  }

  /** kill -9 */
  async kill(): Promise<void> {
    await this.#process?.kill()
  }

  async #takesProducers(): Promise<boolean> {
    const producer = new Producer({ clientId: 'ready', bootstrapBrokers: [this.address], retries: 0 })
    try {
      await producer.initIdempotentProducer({})
      return true
    } catch {
      return false
    } finally {
      await producer.close(true)
    }
  }

  #java(main: string, ...args: readonly string[]) {
    const { java, classPath } = this.#options.files
    const settings = ['-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', classPath]
    return { command: java, args: [...settings, main, ...args], env: { PATH: process.env['PATH'] } }
  }

  async #format(): Promise<void> {
    const { directory, ports } = this.#options
    const [plain, secured, controller] = ports
    await mkdir(directory, { recursive: true })
    const [certified, encrypted] = this.#options.secure?.ports ?? []
    const open = [
      `PLAINTEXT://127.0.0.1:${plain}`,
      `SASL_PLAINTEXT://127.0.0.1:${secured}`,
      ...(certified === undefined ? [] : [`SSL://127.0.0.1:${certified}`]),
      ...(encrypted === undefined ? [] : [`SASL_SSL://127.0.0.1:${encrypted}`]),
    ]
    const jaas = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
    const lines = [
      'process.roles=broker,controller',
      'node.id=1',
      `controller.quorum.voters=1@127.0.0.1:${controller}`,
      `listeners=${[...open, `CONTROLLER://127.0.0.1:${controller}`].join(',')}`,
      'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT',
      `advertised.listeners=${open.map(listener => listener.replace(/^(S.*SL|SSL):\/\/127.0.0.1/, '$1://localhost')).join(',')}`,
      'controller.listener.names=CONTROLLER',
      'sasl.enabled.mechanisms=SCRAM-SHA-512',
      `listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=${jaas}`,
      `log.dirs=${join(directory, 'data')}`,
      'num.partitions=6',
      'auto.create.topics.enable=true',
      'offsets.topic.replication.factor=1',
      'offsets.topic.num.partitions=1',
      // A broker that was killed comes back at once: its former self must not count as alive for long.
      'broker.heartbeat.interval.ms=200',
      'broker.session.timeout.ms=1000',
      'transaction.state.log.replication.factor=1',
      'transaction.state.log.min.isr=1',
      'group.initial.rebalance.delay.ms=0',
    ]
    await writeFile(this.#properties, `${[...lines, ...(await this.#secure())].join('\n')}\n`)
    const { username, password } = kafkaUser
    const scram = `SCRAM-SHA-512=[name=${username},password=${password}]`
    const { code, stdout, stderr } = await runCommand(
      this.#java(
        'kafka.tools.StorageTool',
        ...['format', '-t', clusterId(), '-c', this.#properties, '--add-scram', scram],
      ),
    )
    if (code !== 0) throw new Error(`Kafka's storage could not be formatted: ${stderr || stdout}`)
  }

  /** What the listeners with TLS need, and rights: nobody but these users has any. */
  async #secure(): Promise<string[]> {
    const { secure, directory } = this.#options
    if (secure === undefined) return []
    const [keys, roots] = [join(directory, 'keys.pem'), join(directory, 'roots.pem')]
    await writeFile(keys, secure.key + secure.certificate)
    await writeFile(roots, secure.root)
    const login = 'org.apache.kafka.common.security.plain.PlainLoginModule required'
    const users = [kafkaUser, kafkaStranger].map(({ username, password }) => `user_${username}="${password}"`)
    return [
      'ssl.keystore.type=PEM',
      `ssl.keystore.location=${keys}`,
      'ssl.truststore.type=PEM',
      `ssl.truststore.location=${roots}`,
      'listener.name.ssl.ssl.client.auth=required',
      'listener.name.sasl_ssl.sasl.enabled.mechanisms=PLAIN',
      `listener.name.sasl_ssl.plain.sasl.jaas.config=${login} ${users.join(' ')};`,
      'authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      `super.users=User:ANONYMOUS;User:${kafkaUser.username};User:CN=leaf`,
    ]
  }
}
