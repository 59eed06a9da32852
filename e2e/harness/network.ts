import { rm, writeFile } from 'node:fs/promises'
import { createServer, connect, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from '@waymark/deploy/local/run-command.ts'
import { networkNote } from './leftovers.ts'

/** Why network namespaces cannot be made here; null: they can. */
export const whyNoNamespaces = async (): Promise<string | null> => {
  if (process.platform !== 'linux') return 'network namespaces exist on Linux only'
  if (process.getuid?.() !== 0) return 'making network namespaces needs root'
  const { code, failure } = await runCommand({ command: 'ip', args: ['netns', 'list'] })
  return code === 0 ? null : `ip netns does not work here (${failure ?? `exit code ${code ?? 'none'}`})`
}

const ip = async (...args: string[]): Promise<void> => {
  const { code, stderr, failure } = await runCommand({ command: 'ip', args, timeoutMs: 10_000 })
  if (code !== 0) throw new Error(`ip ${args.join(' ')}: ${failure ?? stderr.trim()}`)
}

export interface NetworkOptions {
  /** Begins the names of bridge and namespaces; short (a device's name has 15 characters) and unique. */
  readonly name: string
  /** The first three bytes of a /24: `10.213.7`. The bridge is `.1`. */
  readonly prefix: string
  readonly hosts: readonly string[]
}

/** A host with a network namespace of its own. */
export interface Host {
  readonly name: string
  readonly namespace: string
  readonly address: string
  /** The command that runs `command` on this host. */
  command(
    command: string,
    args: readonly string[],
  ): { readonly command: string; readonly args: readonly string[] }
}

/** Hosts on one bridge, as machines on one switch. */
export class Network {
  readonly address: string
  readonly hosts: readonly Host[]
  readonly #options: NetworkOptions
  readonly #relays: Relay[] = []

  private constructor(options: NetworkOptions) {
    this.#options = options
    this.address = `${options.prefix}.1`
    this.hosts = options.hosts.map((name, index) => {
      const namespace = `${options.name}-${name}`
      return {
        name,
        namespace,
        address: `${options.prefix}.${index + 2}`,
        command: (command, args) => ({ command: 'ip', args: ['netns', 'exec', namespace, command, ...args] }),
      }
    })
  }

  static async create(options: NetworkOptions): Promise<Network> {
    const network = new Network(options)
    try {
      await network.#build()
    } catch (error) {
      await network.destroy()
      throw error
    }
    return network
  }

  host(name: string): Host {
    const host = this.hosts.find(candidate => candidate.name === name)
    if (host === undefined) throw new Error(`there is no host ${name}`)
    return host
  }

  /** Makes a port of this machine's loopback reachable from the hosts, at the bridge's address. */
  async expose(port: number): Promise<void> {
    this.#relays.push(await Relay.start({ host: this.address, port }))
  }

  /** Pulls a host's cable: nothing arrives any more, and nobody is told. */
  async cut({ name }: Host): Promise<void> {
    const index = this.hosts.findIndex(host => host.name === name)
    await ip('link', 'set', `${this.#options.name}${index}o`, 'down')
  }

  async destroy(): Promise<void> {
    for (const relay of this.#relays) await relay.stop()
    // Each on its own: what was never made is no reason to leave the rest.
    for (const { namespace } of this.hosts) await ip('netns', 'delete', namespace).catch(() => undefined)
    await ip('link', 'delete', this.#options.name).catch(() => undefined)
    const { stdout } = await runCommand({ command: 'ip', args: ['netns', 'list'] })
    if (stdout.includes(`${this.#options.name}-`)) throw new Error('a network namespace was left behind')
    await rm(this.#note, { force: true })
  }

  /** Tells whoever cleans up after a run that was killed. */
  get #note(): string {
    return join(tmpdir(), `${networkNote}${this.#options.name}`)
  }

  async #build(): Promise<void> {
    const bridge = this.#options.name
    await writeFile(this.#note, '')
    await ip('link', 'add', bridge, 'type', 'bridge')
    await ip('address', 'add', `${this.address}/24`, 'dev', bridge)
    await ip('link', 'set', bridge, 'up')
    for (const [index, { namespace, address }] of this.hosts.entries()) {
      const [outside, inside] = [`${bridge}${index}o`, `${bridge}${index}i`]
      await ip('netns', 'add', namespace)
      await ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', inside)
      await ip('link', 'set', outside, 'master', bridge, 'up')
      await ip('link', 'set', inside, 'netns', namespace)
      await ip('-n', namespace, 'link', 'set', 'lo', 'up')
      await ip('-n', namespace, 'address', 'add', `${address}/24`, 'dev', inside)
      await ip('-n', namespace, 'link', 'set', inside, 'up')
    }
  }
}

/** Passes TCP connections on to the same port of loopback. */
class Relay {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(port: number) {
    this.#server = createServer(client => {
      const server = connect({ host: '127.0.0.1', port })
      for (const [socket, other] of [
        [client, server],
        [server, client],
      ] as const) {
        this.#sockets.add(socket)
        socket.on('error', () => other.destroy())
        socket.on('close', () => this.#sockets.delete(socket))
        socket.pipe(other)
      }
    })
  }

  static async start({ host, port }: { readonly host: string; readonly port: number }): Promise<Relay> {
    const relay = new Relay(port)
    await new Promise<void>((resolve, reject) => {
      relay.#server.once('error', reject)
      relay.#server.listen(port, host, resolve)
    })
    return relay
  }

  async stop(): Promise<void> {
    const closed = new Promise(resolve => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
}
