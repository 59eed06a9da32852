import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
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
}

/** Who may log in at the second listener. */
export const kafkaUser = { username: 'waymark', password: 'kafka-secret' } as const

const startMs = 60_000

/** Apache Kafka in KRaft mode, broker and controller in one process. */
export class KafkaBroker {
  readonly address: string
  readonly securedAddress: string
  readonly #options: KafkaBrokerOptions
  readonly #properties: string
  #process: ManagedProcess | null = null
  #starts = 0

  private constructor(options: KafkaBrokerOptions) {
    this.#options = options
    this.#properties = join(options.directory, 'server.properties')
    this.address = `127.0.0.1:${options.ports[0]}`
    this.securedAddress = `127.0.0.1:${options.ports[1]}`
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
  }

  /** kill -9 */
  async kill(): Promise<void> {
    await this.#process?.kill()
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
    const jaas = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
    const lines = [
      'process.roles=broker,controller',
      'node.id=1',
      `controller.quorum.voters=1@127.0.0.1:${controller}`,
      `listeners=PLAINTEXT://127.0.0.1:${plain},SASL_PLAINTEXT://127.0.0.1:${secured},CONTROLLER://127.0.0.1:${controller}`,
      'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT',
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
    await writeFile(this.#properties, `${lines.join('\n')}\n`)
    const { username, password } = kafkaUser
    const scram = `SCRAM-SHA-512=[name=${username},password=${password}]`
    const { code, stdout, stderr } = await runCommand(
      this.#java(
        'kafka.tools.StorageTool',
        ...[
          'format',
          '-t',
          randomBytes(16).toString('base64url'),
          '-c',
          this.#properties,
          '--add-scram',
          scram,
        ],
      ),
    )
    if (code !== 0) throw new Error(`Kafka's storage could not be formatted: ${stderr || stdout}`)
  }
}
