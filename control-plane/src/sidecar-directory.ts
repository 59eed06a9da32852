import type { SidecarEntry, SidecarReader } from './rest/ports.ts'
import type { SidecarRow } from './store/sidecar-table.ts'
import type { ResourceStatus, StreamStatus } from './xds/status/status.ts'

interface SidecarDirectoryOptions {
  readonly replica: string
  /** This replica's own streams, as of now. */
  readonly streams: {
    streams(): StreamStatus[]
    stream(node: string): StreamStatus | undefined
    resources(node: string): ResourceStatus[]
  }
  /** What all replicas wrote down. */
  readonly table: { list(): Promise<SidecarRow<StreamStatus>[]> }
  readonly now: () => number
}

/** Every sidecar of the mesh: this replica's own as of now, the others as their replicas last wrote them down. */
export class SidecarDirectory implements SidecarReader {
  readonly #options: SidecarDirectoryOptions

  constructor(options: SidecarDirectoryOptions) {
    this.#options = options
  }

  async list(): Promise<readonly SidecarEntry[]> {
    const { table, replica, streams } = this.#options
    const entries = new Map<string, SidecarEntry>()
    // What this replica wrote about a stream that has ended since is out of date.
    const others = (await table.list()).filter(row => row.replica !== replica)
    for (const entry of [...others, ...streams.streams().map(status => this.#own(status))]) {
      // A replica may not have noticed yet that a sidecar has gone to another one.
      const known = entries.get(entry.node)
      if (known === undefined || known.status.connectedAt <= entry.status.connectedAt)
        entries.set(entry.node, entry)
    }
    return [...entries.values()].sort((a, b) => (a.node < b.node ? -1 : 1))
  }

  async get(
    node: string,
  ): Promise<{ entry: SidecarEntry; resources: readonly ResourceStatus[] | null } | undefined> {
    const entry = (await this.list()).find(one => one.node === node)
    if (entry === undefined) return undefined
    const own = entry.replica === this.#options.replica
    return { entry, resources: own ? this.#options.streams.resources(node) : null }
  }

  #own(status: StreamStatus): SidecarEntry {
    const seenAt = new Date(this.#options.now()).toISOString()
    return { node: status.node, replica: this.#options.replica, seenAt, status }
  }
}
