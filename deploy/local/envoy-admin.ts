import { request } from 'node:http'
import { text } from 'node:stream/consumers'

/** An endpoint as one Envoy has it. */
export interface EnvoyHost {
  readonly address: string
  readonly port: number
  /** What EDS said: `HEALTHY`, `UNHEALTHY`, `DRAINING`, `DEGRADED`. */
  readonly edsHealth: string
  /** Ejected by this Envoy's own outlier detection. */
  readonly ejected: boolean
}

interface RawHost {
  readonly address?: { readonly socket_address?: { readonly address?: string; readonly port_value?: number } }
  readonly health_status?: { readonly eds_health_status?: string; readonly failed_outlier_check?: boolean }
}

interface RawClusters {
  readonly cluster_statuses?: readonly {
    readonly name?: string
    readonly host_statuses?: readonly RawHost[]
  }[]
}

/** The hosts of every cluster, from the answer of `/clusters?format=json`. */
const parseClusters = (json: string): Map<string, EnvoyHost[]> => {
  const { cluster_statuses: clusters = [] } = JSON.parse(json) as RawClusters
  return new Map(
    clusters.map(({ name = '', host_statuses: hosts = [] }) => [
      name,
      hosts.map(({ address, health_status: health }) => ({
        address: address?.socket_address?.address ?? '',
        port: address?.socket_address?.port_value ?? 0,
        edsHealth: health?.eds_health_status ?? 'HEALTHY',
        ejected: health?.failed_outlier_check ?? false,
      })),
    ]),
  )
}

/** The admin interface of one Envoy on this host. */
export class EnvoyAdmin {
  readonly port: number

  constructor(port: number) {
    this.port = port
  }

  /** The body of an answer; rejects when the admin does not answer within `timeoutMs`. */
  ask(path: string, { method = 'GET', timeoutMs = 5_000 } = {}): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      // No kept connection: an Envoy that restarts on this port must not meet an old one.
      const outgoing = request({ host: '127.0.0.1', port: this.port, path, method, agent: false })
      outgoing.setTimeout(timeoutMs, () => outgoing.destroy(new Error(`no answer within ${timeoutMs} ms`)))
      outgoing.once('error', reject)
      outgoing.once('response', response => {
        text(response).then(body => {
          resolve({ status: response.statusCode ?? 0, body })
        }, reject)
      })
      outgoing.end()
    })
  }

  /** True when the first configuration is in and the workers run. */
  async isReady(): Promise<boolean> {
    return (await this.ask('/ready')).status === 200
  }

  async clusters(): Promise<Map<string, EnvoyHost[]>> {
    return parseClusters((await this.ask('/clusters?format=json')).body)
  }

  /** Names of the listeners that it has. */
  async listeners(): Promise<string[]> {
    const { body } = await this.ask('/listeners')
    return body
      .split('\n')
      .map(line => line.split('::')[0] ?? '')
      .filter(name => name !== '')
  }

  /** Counters and gauges whose names match `filter` (a regular expression of Envoy's). */
  async stats(filter: string): Promise<Map<string, number>> {
    const { body } = await this.ask(`/stats?format=json&filter=${encodeURIComponent(filter)}`)
    const { stats } = JSON.parse(body) as { stats: readonly { name?: string; value?: number }[] }
    return new Map(
      stats.flatMap(({ name, value }) => (name === undefined || value === undefined ? [] : [[name, value]])),
    )
  }
}
