import { stringify } from 'yaml'
import { isIpAddress } from '../envoy/address.ts'
import { xdsCluster } from '../envoy/names.ts'
import { prometheusCluster, prometheusListener } from './prometheus.ts'

export interface BootstrapInput {
  readonly service: string
  readonly instance: string
  readonly locality: { readonly region: string; readonly zone: string }
  /** The replicas of the control plane: host names or IP addresses (IPv6 without brackets). At least one. */
  readonly controlPlane: readonly { readonly host: string; readonly port: number }[]
  /** Default 15001. */
  readonly outboundPort?: number
  /** Default 15006. */
  readonly inboundPort?: number
  /** On 127.0.0.1. Default 15000. */
  readonly adminPort?: number
  /** The services that the instance calls. Default: all of the mesh. */
  readonly upstreams?: readonly string[]
  /** Serves `/metrics` on 0.0.0.0 at this port. Default: not at all. */
  readonly prometheusPort?: number
  /** Open connections of callers and the application together; more are closed at once. Default 50,000. */
  readonly maxDownstreamConnections?: number
}

const defaults = {
  outboundPort: 15_001,
  inboundPort: 15_006,
  adminPort: 15_000,
  maxDownstreamConnections: 50_000,
}

const typeUrl = (name: string) => `type.googleapis.com/envoy.${name}`

const overAds = {
  ads: {},
  resource_api_version: 'V3',
  // Wait for ever: without its first configuration a sidecar must not report itself ready.
  initial_fetch_timeout: '0s',
}

/**
 * The replicas in turn: when one is gone, the next attempt reaches another. Envoy finds a silent one by HTTP/2
 * pings within 20 s.
 */
const controlPlaneCluster = (replicas: BootstrapInput['controlPlane']) => ({
  name: xdsCluster,
  type: replicas.every(({ host }) => isIpAddress(host)) ? 'STATIC' : 'STRICT_DNS',
  connect_timeout: '1s',
  // The default takes IPv6 addresses only if there are any, and "localhost" has one on which nobody may listen.
  dns_lookup_family: 'ALL',
  lb_policy: 'ROUND_ROBIN',
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': typeUrl('extensions.upstreams.http.v3.HttpProtocolOptions'),
      explicit_http_config: {
        http2_protocol_options: { connection_keepalive: { interval: '15s', timeout: '5s' } },
      },
    },
  },
  upstream_connection_options: {
    tcp_keepalive: { keepalive_time: 30, keepalive_interval: 5, keepalive_probes: 3 },
  },
  load_assignment: {
    cluster_name: xdsCluster,
    endpoints: [
      {
        lb_endpoints: replicas.map(({ host, port }) => ({
          endpoint: { address: { socket_address: { address: host, port_value: port } } },
        })),
      },
    ],
  },
})

/**
 * The bootstrap of a sidecar, in the field names of Envoy's documentation: delta ADS for everything that the
 * mesh decides, and only what cannot change at run time besides. Throws RangeError without a control plane.
 */
export const buildBootstrap = (input: BootstrapInput): Record<string, unknown> => {
  if (input.controlPlane.length === 0) throw new RangeError('A sidecar needs the address of a control plane')
  const { outboundPort, inboundPort, adminPort, maxDownstreamConnections } = { ...defaults, ...input }
  const { upstreams, prometheusPort } = input
  return {
    node: {
      id: `${input.service}/${input.instance}`,
      cluster: input.service,
      locality: { region: input.locality.region, zone: input.locality.zone },
      metadata: { waymark: { outboundPort, inboundPort, ...(upstreams && { upstreams }) } },
    },
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: adminPort } } },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [
          {
            envoy_grpc: {
              cluster_name: xdsCluster,
              // Envoy's own back-off goes up to 30 s.
              retry_policy: { retry_back_off: { base_interval: '0.2s', max_interval: '2s' } },
            },
          },
        ],
      },
      cds_config: overAds,
      lds_config: overAds,
    },
    static_resources: {
      clusters: [
        controlPlaneCluster(input.controlPlane),
        ...(prometheusPort === undefined ? [] : [prometheusCluster(adminPort)]),
      ],
      ...(prometheusPort !== undefined && { listeners: [prometheusListener(prometheusPort)] }),
    },
    layered_runtime: {
      layers: [
        { name: 'waymark', static_layer: {} },
        // Lets an operator change a runtime flag of one sidecar through its admin port.
        { name: 'admin', admin_layer: {} },
      ],
    },
    overload_manager: {
      resource_monitors: [
        {
          name: 'envoy.resource_monitors.global_downstream_max_connections',
          typed_config: {
            '@type': typeUrl(
              'extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig',
            ),
            max_active_downstream_connections: maxDownstreamConnections,
          },
        },
      ],
    },
  }
}

const heading = ({ service, instance }: BootstrapInput) =>
  [
    `# Envoy bootstrap of ${service}/${instance}, written by Waymark.`,
    '# envoy -c <this file> --disable-hot-restart --drain-time-s 10',
    '',
  ].join('\n')

/** The bootstrap as a YAML file. */
export const bootstrapYaml = (input: BootstrapInput): string =>
  // Two configurations that are one object would become an alias, which Envoy's YAML reader takes but people trip over.
  heading(input) + stringify(buildBootstrap(input), { aliasDuplicateObjects: false, lineWidth: 0 })
