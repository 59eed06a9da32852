import type { SidecarEntry, SidecarListing, SidecarReader } from './rest/ports.ts'
import type { Clock } from './runtime/clock.ts'
import type { SidecarRow } from './store/sidecar-table.ts'
import { databaseUnavailable } from './store/unavailable.ts'
import { stillSettled } from './xds/status/settled.ts'
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
  readonly table: {
    others(filter: { readonly service?: string }): Promise<SidecarRow<StreamStatus>[]>
    of(node: string): Promise<SidecarRow<StreamStatus>[]>
  }
  /** The replicas that run; empty while nobody knows. */
  readonly members: () => readonly string[]
  readonly clock: Clock
  /** How long the database may take (ms). */
  readonly patienceMs?: number
}

/** A replica confirms what it wrote at least every 30 s; three missed confirmations are no accident. */
const lostMs = 90_000
/** Clocks of replicas may differ by this much: a sidecar that changed its replica is not two. */
const skewMs = 2_000

type Row = Omit<SidecarRow<StreamStatus>, 'node'>

/**
 * Every sidecar of the mesh: this replica's own as of now, the others as their replicas last wrote them down. While
 * the database is away its own are told all the same, and of whom nothing can be told.
 */
export class SidecarDirectory implements SidecarReader {
  readonly #options: SidecarDirectoryOptions

  constructor(options: SidecarDirectoryOptions) {
    this.#options = options
  }

  async list(filter: { readonly service?: string } = {}): Promise<SidecarListing> {
    const { streams, table, members, replica } = this.#options
    const { service } = filter
    const own = streams
      .streams()
      .filter(({ node }) => service === undefined || node.slice(0, node.indexOf('/')) === service)
    const rows = await this.#read(() => table.others(filter))
    const byNode = new Map<string, Row[]>()
    for (const [node, row] of [
      ...own.map(status => [status.node, this.#own(status)] as const),
      ...(rows ?? []).map(each => [each.node, each] as const),
    ]) {
      const known = byNode.get(node)
      if (known === undefined) byNode.set(node, [row])
      else known.push(row)
    }
    return {
      entries: [...byNode].flatMap(([node, all]) => this.#entry(node, all) ?? []),
      missing: rows === undefined ? members().filter(id => id !== replica) : [],
    }
  }

  async get(
    node: string,
  ): Promise<{ entry: SidecarEntry; resources: readonly ResourceStatus[] | null } | undefined> {
    const { streams, table, replica } = this.#options
    const status = streams.stream(node)
    const rows = await this.#read(() => table.of(node))
    if (rows === undefined && status === undefined) {
      throw databaseUnavailable(undefined, 'the database cannot be asked which replica serves the sidecar')
    }
    const others = (rows ?? []).filter(row => row.replica !== replica || row.endedAt !== null)
    const entry = this.#entry(node, [...(status === undefined ? [] : [this.#own(status)]), ...others])
    if (entry === undefined) return undefined
    const own = status !== undefined && entry.replica === replica
    return { entry, resources: own ? streams.resources(node) : null }
  }

  /** Undefined when the database cannot be asked, or does not answer in time. */
  async #read<T>(read: () => Promise<T>): Promise<T | undefined> {
    const { clock, patienceMs = 1_500 } = this.#options
    const patience = new AbortController()
    const late = clock.sleep(patienceMs, patience.signal).then(() => undefined)
    try {
      return await Promise.race([read().catch(() => undefined), late])
    } finally {
      patience.abort()
    }
  }

  /** A sidecar that has gone to another replica may still be written down at the one before. */
  #entry(node: string, rows: readonly Row[]): SidecarEntry | undefined {
    const rank = (row: Row): number => (row.endedAt !== null ? 2 : this.#lost(row) ? 1 : 0)
    const [best, ...rest] = rows.toSorted(
      (a, b) => rank(a) - rank(b) || b.status.connectedAt - a.status.connectedAt,
    )
    if (best === undefined) return undefined
    const { coveredTo, ...known } = best
    const { replica } = best
    const status = coveredTo === null ? best.status : stillSettled(best.status, coveredTo)
    const alive = rest.filter(
      row => rank(row) === 0 && row.status.heardAt > status.connectedAt + skewMs && row.replica !== replica,
    )
    return {
      ...known,
      status,
      node,
      lost: this.#lost(best),
      rivals: [
        ...status.rivals.map(rival => ({ ...rival, replica })),
        ...alive.map(({ replica: where, status: { address, connectedAt } }) => ({
          address,
          connectedAt,
          replica: where,
        })),
      ],
    }
  }

  #lost({ replica, seenAt, endedAt }: Row): boolean {
    if (endedAt !== null || replica === this.#options.replica) return false
    const running = this.#options.members()
    const known = running.length === 0 || running.includes(replica)
    return !known || this.#options.clock.now() - Date.parse(seenAt) > lostMs
  }

  #own(status: StreamStatus): Row {
    const seenAt = new Date(this.#options.clock.now()).toISOString()
    return { replica: this.#options.replica, seenAt, endedAt: null, coveredTo: null, status }
  }
}
