import type { TrafficDirection } from '@envoyproxy/protos/envoy/config/core/v3/base.ts'
import type { Filter } from '@envoyproxy/protos/envoy/config/listener/v3/listener_components.ts'
import { Listener } from '@envoyproxy/protos/envoy/config/listener/v3/listener.ts'
import { socketAddress } from './address.ts'

interface ListenerInput {
  readonly name: string
  readonly bindAddress: string
  readonly port: number
  readonly direction: TrafficDirection
  readonly filter: Filter
}

/** A body larger than this is streamed, not kept, so its request cannot be retried. */
const bufferBytes = 1_048_576

export const listener = ({ name, bindAddress, port, direction, filter }: ListenerInput): Listener =>
  Listener.fromPartial({
    name,
    address: socketAddress(bindAddress, port),
    trafficDirection: direction,
    filterChains: [{ name: 'http', filters: [filter] }],
    perConnectionBufferLimitBytes: bufferBytes,
  })
