/**
 * Simulated sidecars in a process of their own. The only argument is JSON (`StreamsConfig`). Prints `ready` when
 * all are configured, then for every version of the watched endpoints one line of JSON (`Receipts`) as soon as
 * the last stream has it.
 */
import { endpointType } from '@waymark/control-plane/xds/type-urls.ts'
import { XdsClient } from '../harness/xds-client.ts'
import { simulatedNode } from '../harness/xds-node.ts'

export interface StreamsConfig {
  readonly address: string
  readonly streams: number
  readonly upstreams: readonly string[]
  /** The endpoints whose arrival is told. */
  readonly watch: string
}

export interface Receipts {
  readonly version: string
  /** When each stream got it, in `machineTime`. */
  readonly at: readonly number[]
}

const { address, streams, upstreams, watch } = JSON.parse(process.argv[2] ?? '') as StreamsConfig
const receipts = new Map<string, number[]>()

const clients = Array.from({ length: streams }, (_, index) => {
  const node = simulatedNode({ service: 'caller', instance: `caller-${index}`, upstreams })
  return new XdsClient({
    address,
    node,
    onResponse: ({ typeUrl, resources, at }) => {
      if (typeUrl !== endpointType) return
      for (const { name, version } of resources) {
        if (name !== watch) continue
        const times = receipts.get(version) ?? []
        receipts.set(version, times)
        times.push(at)
        if (times.length < streams) continue
        receipts.delete(version)
        console.log(JSON.stringify({ version, at: times } satisfies Receipts))
      }
    },
  })
})
await Promise.all(clients.map(({ configured }) => configured))
console.log('ready')
process.once('SIGTERM', () => {
  void Promise.all(clients.map(client => client.close()))
})
