import type { SidecarEntry, SidecarReader } from './rest/ports.ts'
import type { SidecarRow } from './store/sidecar-table.ts'
import type { ResourceStatus, StreamStatus } from './xds/status.ts'

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
    const entries = new Map<string, SidecarEntry>()
    for (const row of await this.#options.table.list()) {
      // What this replica wrote about a stream that has ended since is out of date.
      if (row.replica !== this.#options.replica) entries.set(row.node, row)
    }
    for (const status of this.#options.streams.streams()) entries.set(status.node, this.#own(status))
    return [...entries.values()].sort((a, b) => (a.node < b.node ? -1 : 1))
  }

  async get(
    node: string,
  ): Promise<{ entry: SidecarEntry; resources: readonly ResourceStatus[] | null } | undefined> {
    const status = this.#options.streams.stream(node)
    if (status !== undefined) {
      return { entry: this.#own(status), resources: this.#options.streams.resources(node) }
    }
    const row = (await this.#options.table.list()).find(entry => entry.node === node)
    return row === undefined ? undefined : { entry: row, resources: null }
  }

  #own(status: StreamStatus): SidecarEntry {
    const seenAt = new Date(this.#options.now()).toISOString()
    return { node: status.node, replica: this.#options.replica, seenAt, status }
  }
}
