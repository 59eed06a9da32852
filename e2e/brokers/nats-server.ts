import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ManagedProcess, Supervisor } from '@waymark/deploy/local/processes.ts'
import { isPortOpen } from '../bench/port-open.ts'
import { eventually } from '../harness/eventually.ts'
import type { NatsFiles } from './find-brokers.ts'

export interface NatsServerOptions {
  readonly files: NatsFiles
  readonly supervisor: Supervisor
  /** Where its streams are; kept over restarts. */
  readonly directory: string
  readonly port: number
  /** Beside what this class sets: lines of its configuration file. */
  readonly settings?: readonly string[]
}

/** One nats-server with JetStream. */
export class NatsServer {
  readonly address: string
  readonly #options: NatsServerOptions
  #process: ManagedProcess | null = null
  #starts = 0

  private constructor(options: NatsServerOptions) {
    this.#options = options
    this.address = `127.0.0.1:${options.port}`
  }

  static async start(options: NatsServerOptions): Promise<NatsServer> {
    await mkdir(options.directory, { recursive: true })
    const server = new NatsServer(options)
    await server.start()
    return server
  }

  /** Resolves when it takes connections. */
  async start(): Promise<void> {
    const { files, supervisor, directory, port, settings = [] } = this.#options
    this.#starts += 1
    const configuration = join(directory, 'nats.conf')
    await writeFile(configuration, `${settings.join('\n')}\n`)
    this.#process = supervisor.start({
      name: `nats-${port}-${this.#starts}`,
      group: 'brokers',
      command: files.command,
      args: ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', directory, '-c', configuration],
      env: { PATH: process.env['PATH'] },
    })
    await eventually('nats-server to take connections', () => isPortOpen({ host: '127.0.0.1', port }))
  }

  /** kill -9 */
  async kill(): Promise<void> {
    await this.#process?.kill()
  }
}
