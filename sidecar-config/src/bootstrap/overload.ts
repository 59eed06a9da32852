const typeUrl = (name: string) => `type.googleapis.com/envoy.extensions.resource_monitors.${name}`

const mebibyte = 1024 * 1024
const heapMonitor = 'envoy.resource_monitors.fixed_heap'

const at = (share: number) => ({
  triggers: [{ name: heapMonitor, threshold: { value: share } }],
})

/**
 * What a sidecar does before it runs out of something: it first gives free memory back, then takes no more
 * connections, then no more requests. Better some are refused than all are lost when the system ends the process.
 */
export const buildOverloadManager = (limits: {
  readonly maxHeapMebibytes: number
  readonly maxDownstreamConnections: number
}) => ({
  refresh_interval: '0.5s',
  resource_monitors: [
    {
      name: heapMonitor,
      typed_config: {
        '@type': typeUrl('fixed_heap.v3.FixedHeapConfig'),
        max_heap_size_bytes: limits.maxHeapMebibytes * mebibyte,
      },
    },
    {
      name: 'envoy.resource_monitors.global_downstream_max_connections',
      typed_config: {
        '@type': typeUrl('downstream_connections.v3.DownstreamConnectionsConfig'),
        max_active_downstream_connections: limits.maxDownstreamConnections,
      },
    },
  ],
  actions: [
    { name: 'envoy.overload_actions.shrink_heap', ...at(0.9) },
    { name: 'envoy.overload_actions.stop_accepting_connections', ...at(0.95) },
    { name: 'envoy.overload_actions.stop_accepting_requests', ...at(0.98) },
  ],
})
