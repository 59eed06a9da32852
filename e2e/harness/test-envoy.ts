import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { EnvoyAdmin } from '@waymark/deploy/local/envoy-admin.ts'
import type { ManagedProcess, Supervisor } from '@waymark/deploy/local/processes.ts'
import { buildBootstrap, type BootstrapInput } from '@waymark/sidecar-config/bootstrap/bootstrap.ts'
import { secretFiles } from '@waymark/sidecar-config/bootstrap/control-plane-security.ts'
import { eventually } from './eventually.ts'

export interface TestEnvoyOptions {
  readonly supervisor: Supervisor
  readonly envoy: string
  /** Where its files are written. */
  readonly directory: string
  readonly name: string
  readonly bootstrap: Omit<BootstrapInput, 'locality' | 'secretFilePrefix' | 'adminPort'> & {
    readonly adminPort: number
  }
}

/** An Envoy with the bootstrap that a person would get, without an application. */
export class TestEnvoy {
  readonly admin: EnvoyAdmin
  readonly process: ManagedProcess

  static async start({
    supervisor,
    envoy,
    directory,
    name,
    bootstrap,
  }: TestEnvoyOptions): Promise<TestEnvoy> {
    await mkdir(directory, { recursive: true })
    const input = {
      ...bootstrap,
      locality: { region: '', zone: '' },
      secretFilePrefix: join(directory, name),
    }
    for (const { path, json } of secretFiles(input)) await writeFile(path, JSON.stringify(json))
    const path = join(directory, `${name}.json`)
    await writeFile(path, JSON.stringify(buildBootstrap(input)))
    const flags = ['--concurrency', '1', '--disable-hot-restart', '--drain-time-s', '1']
    const process = supervisor.start({
      name,
      group: 'envoys',
      command: envoy,
      args: ['-c', path, ...flags, '--log-level', 'warning'],
      env: {},
    })
    return new TestEnvoy(process, new EnvoyAdmin(bootstrap.adminPort))
  }

  private constructor(process: ManagedProcess, admin: EnvoyAdmin) {
    this.process = process
    this.admin = admin
  }

  async ready(): Promise<void> {
    await eventually(`${this.process.name} to be ready`, async () => {
      const error = this.process.failed()
      if (error !== null) throw error
      return this.admin.isReady()
    })
  }

  async stat(name: string): Promise<number> {
    const stats = await this.admin.stats(`^${name.replaceAll('.', '\\.')}$`)
    return stats.get(name) ?? 0
  }
}
