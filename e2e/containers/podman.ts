import type { Engine } from '@waymark/deploy/images/engine.ts'
import { findEngine } from '@waymark/deploy/images/engine.ts'
import { runCommand } from '@waymark/deploy/local/run-command.ts'
import { UserError } from '@waymark/deploy/local/user-error.ts'

/** Hosts that are containers themselves refuse the engine's own limits. */
const limits = ['--ulimit=nofile=1024:1024', '--ulimit=nproc=1000:1000']

export interface StartContainer {
  readonly name: string
  readonly image: string
  /** Its own address on the network, or the container whose network it shares. */
  readonly network: { readonly address: string } | { readonly sharedWith: string }
  readonly env?: Readonly<Record<string, string>>
  /** host path -> path in the container, read only */
  readonly mounts?: Readonly<Record<string, string>>
  readonly args?: readonly string[]
  readonly writable?: boolean
}

/** podman, installed with apt where `install` says so. Rejects with a UserError when it does not work here. */
export const findPodman = async ({ install }: { readonly install: boolean }): Promise<Engine> => {
  if (process.getuid?.() !== 0) {
    throw new UserError(
      'The story in containers needs root: others cannot reach the addresses of containers.',
    )
  }
  const found = await findEngine('podman').catch((error: unknown) => {
    if (!install) throw error
    return null
  })
  if (found !== null) return found
  for (const args of [['update'], ['install', '--yes', 'podman', 'runc']]) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    const { code, stderr, failure } = await runCommand({
      command: 'apt-get',
      args: ['--quiet', ...args],
      env,
    })
    if (code !== 0)
      throw new Error(`apt-get ${args.join(' ')} failed: ${failure ?? stderr.trim().slice(-500)}`)
  }
  return findEngine('podman')
}

/** The containers and the network of one run, all named after it; `removeAll` leaves nothing. */
export class Podman {
  readonly engine: Engine
  readonly run: string
  readonly #containers = new Set<string>()
  #network = false

  constructor({ engine, run }: { readonly engine: Engine; readonly run: string }) {
    this.engine = engine
    this.run = run
  }

  /** The standard output of a command; rejects with the words of one that fails. */
  async command(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr, failure } = await runCommand({
      command: this.engine.name,
      args: [...this.engine.args, ...args],
      timeoutMs: 120_000,
    })
    if (code === 0) return stdout
    throw new Error(`podman ${args[0] ?? ''} failed: ${failure ?? (stderr.trim() || stdout.trim())}`)
  }

  /** A private network; gives an address on it for each number from 2 to 254. */
  async createNetwork(): Promise<(host: number) => string> {
    await this.command('network', 'create', this.run)
    this.#network = true
    const subnet = (
      await this.command('network', 'inspect', '--format', '{{(index .Subnets 0).Subnet}}', this.run)
    ).trim()
    const prefix = /^(\d+\.\d+\.\d+)\.0\/24$/.exec(subnet)?.[1]
    if (prefix === undefined) throw new Error(`the network has the subnet ${subnet}, not one of 254 hosts`)
    return host => `${prefix}.${host}`
  }

  /** Without rights beyond those of any program, and unless `writable` without a file to write to. */
  async start(container: StartContainer): Promise<void> {
    const { name, image, network, env = {}, mounts = {}, args = [], writable = false } = container
    const id = this.#id(name)
    this.#containers.add(id)
    await this.command(
      ...['run', '--detach', '--name', id, ...limits],
      ...('address' in network
        ? ['--network', this.run, '--ip', network.address]
        : ['--network', `container:${this.#id(network.sharedWith)}`]),
      ...(writable ? [] : ['--read-only', '--cap-drop=all']),
      '--security-opt=no-new-privileges',
      ...Object.entries(env).map(([key, value]) => `--env=${key}=${value}`),
      ...Object.entries(mounts).map(([from, to]) => `--volume=${from}:${to}:ro`),
      image,
      ...args,
    )
  }

  /** Runs a program of an image to its end, writing to `folder` as /out. */
  async once(options: {
    readonly image: string
    readonly folder: string
    readonly args: readonly string[]
  }): Promise<string> {
    const { image, folder, args } = options
    return this.command('run', '--rm', ...limits, '--network=none', `--volume=${folder}:/out`, image, ...args)
  }

  /** SIGKILL. */
  async kill(...names: readonly string[]): Promise<void> {
    await this.command('kill', '--signal=KILL', ...names.map(name => this.#id(name)))
  }

  /** What a container has written. */
  async logs(name: string): Promise<string> {
    const { stdout, stderr } = await runCommand({
      command: this.engine.name,
      args: [...this.engine.args, 'logs', this.#id(name)],
    })
    return stdout + stderr
  }

  async removeAll(): Promise<void> {
    // Those that share a network go before the one that has it.
    for (const id of [...this.#containers].reverse()) {
      await this.command('rm', '--force', '--ignore', '--time=0', '--volumes', id).catch(() => undefined)
    }
    this.#containers.clear()
    if (this.#network) await this.command('network', 'rm', '--force', this.run).catch(() => undefined)
    this.#network = false
  }

  #id(name: string): string {
    return `${this.run}-${name}`
  }
}
