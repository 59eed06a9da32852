import { machineTime } from '../../harness/machine-time.ts'
import { DeltaRequests, type NodeContent } from './delta-request.ts'
import { readDeltaResponse, type DeltaResponse } from './delta-response.ts'
import { Http2Dialer } from './http2-stream.ts'
import { Sidecar } from './sidecar.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

export interface FleetOptions {
  readonly nodes: Iterable<NodeContent>
  readonly order: 'envoy' | 'endpoints'
  readonly keep: boolean
  readonly reports: boolean
  /** After the ACK was written; `at` in `machineTime`. */
  readonly onResponse: (sidecar: Sidecar, response: DeltaResponse, at: number) => void
}

export interface FleetCounts {
  connected: number
  ended: number
  responses: number
  resources: number
  /** Of resources, without names and versions. */
  resourceBytes: number
  /** gRPC status, or the reason of a cut -> streams that ended so. */
  readonly ends: Record<string, number>
}

export interface ConnectOptions {
  /** Sidecars go to these in turn. */
  readonly addresses: readonly Address[]
  /** Connections that are opened at once before the next wait for them; 0: all. */
  readonly atOnce: number
  readonly timeoutMs: number
}

/** How many responses are compared with a new one before it is read. */
const recentLimit = 8

/** Simulated sidecars in one process. */
export class Fleet {
  readonly counts: FleetCounts = {
    connected: 0,
    ended: 0,
    responses: 0,
    resources: 0,
    resourceBytes: 0,
    ends: {},
  }
  readonly sidecars: readonly Sidecar[]
  /** `machineTime`; null while none has come since the last `connect`. */
  firstResponseAt: number | null = null
  readonly #recent: { readonly bytes: Buffer; readonly response: DeltaResponse }[] = []
  /** When each sidecar was configured, since the last `connect`. */
  #configuredAt: number[] = []
  #onConfigured: () => void = () => undefined

  constructor({ nodes, order, keep, reports, onResponse }: FleetOptions) {
    const dialer = new Http2Dialer()
    const context = {
      requests: new DeltaRequests(),
      open: dialer.open.bind(dialer),
      read: this.#read.bind(this),
      onResponse: (sidecar: Sidecar, response: DeltaResponse) => {
        this.counts.responses += 1
        this.counts.resources += response.resources.length
        this.counts.resourceBytes += response.resourceBytes
        const at = machineTime()
        this.firstResponseAt ??= at
        onResponse(sidecar, response, at)
      },
      onConfigured: () => {
        this.#configuredAt.push(machineTime())
        this.#onConfigured()
      },
      onEnd: (_: Sidecar, { status, reason }: { status: number | null; reason: string }) => {
        const key = status === null ? reason : `status ${status}`
        this.counts.ends[key] = (this.counts.ends[key] ?? 0) + 1
        this.counts.ended += 1
        this.counts.connected -= 1
        this.#onConfigured()
      },
    }
    this.sidecars = [...nodes].map(node => new Sidecar({ context, node, order, keep, reports }))
  }

  /**
   * Connects all; resolves when each is configured, with when that was, in order. Rejects when one is refused or
   * the time is up.
   */
  connect({ addresses, atOnce, timeoutMs }: ConnectOptions): Promise<readonly number[]> {
    const limit = atOnce === 0 ? this.sidecars.length : atOnce
    const endedBefore = this.counts.ended
    this.#configuredAt = []
    this.firstResponseAt = null
    let opened = 0
    let opening = false
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer)
        this.#onConfigured = () => undefined
      }
      const timer = setTimeout(() => {
        finish()
        const { length } = this.#configuredAt
        reject(
          new Error(`after ${timeoutMs} ms ${length} of ${this.sidecars.length} sidecars are configured`),
        )
      }, timeoutMs)
      const more = (): void => {
        if (this.counts.ended > endedBefore) {
          finish()
          reject(new Error(`streams have ended: ${JSON.stringify(this.counts.ends)}`))
          return
        }
        // Who comes back with all that it needs is configured while it connects, and must not connect the next one in there.
        if (opening) return
        opening = true
        while (opened < this.sidecars.length && opened - this.#configuredAt.length < limit) {
          const address = addresses[opened % addresses.length]
          const sidecar = this.sidecars[opened]
          opened += 1
          if (address === undefined || sidecar === undefined) continue
          this.counts.connected += 1
          sidecar.connect(address)
        }
        opening = false
        if (this.#configuredAt.length < this.sidecars.length) return
        finish()
        resolve(this.#configuredAt)
      }
      this.#onConfigured = more
      more()
    })
  }

  /** Cuts all connections. */
  close(): void {
    for (const sidecar of this.sidecars) sidecar.close()
    this.counts.connected = 0
  }

  /** A server that shares bytes sends the same response to many. */
  #read(message: Buffer): DeltaResponse {
    for (const { bytes, response } of this.#recent) if (bytes.equals(message)) return response
    const bytes = Buffer.from(message)
    const response = readDeltaResponse(bytes)
    this.#recent.unshift({ bytes, response })
    if (this.#recent.length > recentLimit) this.#recent.pop()
    return response
  }
}
