import { stringify } from 'yaml'
import { xdsCluster } from '../envoy/names.ts'
import { buildAdminCluster, buildMetricsListener, buildReadyListener } from './admin-listener.ts'
import { controlPlaneCluster, type ControlPlaneAddress } from './control-plane-cluster.ts'
import { checkSecurity, SecretFiles, type SecurityInput } from './control-plane-security.ts'
import { buildOverloadManager } from './overload.ts'
import { statsOptions } from './stats.ts'

export interface BootstrapInput extends SecurityInput {
  readonly service: string
  readonly instance: string
  readonly locality: { readonly region: string; readonly zone: string }
  /** The replicas of the control plane, at least one. When one is gone, the sidecar goes to another. */
  readonly controlPlane: readonly ControlPlaneAddress[]
  /** Default 15001. */
  readonly outboundPort?: number
  /** Default 15006. */
  readonly inboundPort?: number
  /** On 127.0.0.1. Default 15000. */
  readonly adminPort?: number
  /** The services that the instance calls. Default: all of the mesh, or none on demand. */
  readonly upstreams?: readonly string[]
  /** Other services come to the sidecar when the instance first calls them. Default: false. */
  readonly onDemand?: boolean
  /** Serves `/metrics` on 0.0.0.0 at this port. Default: not at all. */
  readonly prometheusPort?: number
  /** Open connections of callers and the application together; more are closed at once. Default 50,000. */
  readonly maxDownstreamConnections?: number
  /** Answers `GET /ready` on 0.0.0.0 at this port, for probes. Default: not at all. */
  readonly readyPort?: number
  /** Near this much heap the sidecar refuses connections and requests (MiB). Default 1,024. */
  readonly maxHeapMebibytes?: number
}

const defaults = {
  outboundPort: 15_001,
  inboundPort: 15_006,
  adminPort: 15_000,
  maxDownstreamConnections: 50_000,
  maxHeapMebibytes: 1_024,
}

const overAds = {
  ads: {},
  resource_api_version: 'V3',
  // Wait for ever: without its first configuration a sidecar must not report itself ready.
  initial_fetch_timeout: '0s',
}

const overEnvoy = {
  envoy_grpc: {
    cluster_name: xdsCluster,
    // Envoy's own back-off goes up to 30 s. Each wait is drawn at random from what is allowed.
    retry_policy: { retry_back_off: { base_interval: '0.2s', max_interval: '2s' } },
  },
}

/**
 * The bootstrap of a sidecar, in the field names of Envoy's documentation: delta ADS for everything that the
 * mesh decides, and only what cannot change at run time besides. Needs the files of `secretFiles` beside it. Throws
 * RangeError without a control plane, and for a security that is none.
 */
export const buildBootstrap = (input: BootstrapInput): Record<string, unknown> => {
  if (input.controlPlane.length === 0) throw new RangeError('A sidecar needs the address of a control plane')
  checkSecurity(input)
  const { outboundPort, inboundPort, adminPort, ...limits } = { ...defaults, ...input }
  const { upstreams, onDemand = false, prometheusPort, readyPort } = input
  const listeners = [
    ...(prometheusPort === undefined ? [] : [buildMetricsListener(prometheusPort)]),
    ...(readyPort === undefined ? [] : [buildReadyListener(readyPort)]),
  ]
  return {
    node: {
      id: `${input.service}/${input.instance}`,
      cluster: input.service,
      locality: { region: input.locality.region, zone: input.locality.zone },
      metadata: {
        waymark: {
          outboundPort,
          inboundPort,
          ...(upstreams && { upstreams }),
          ...(onDemand && { onDemand }),
        },
      },
    },
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: adminPort } } },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [overEnvoy],
      },
      cds_config: overAds,
      lds_config: overAds,
    },
    cluster_manager: {
      // What its requests met, per endpoint.
      load_stats_config: { api_type: 'GRPC', transport_api_version: 'V3', grpc_services: [overEnvoy] },
    },
    static_resources: {
      clusters: [
        controlPlaneCluster(input, new SecretFiles(input.secretFilePrefix ?? '')),
        ...(listeners.length === 0 ? [] : [buildAdminCluster(adminPort)]),
      ],
      ...(listeners.length > 0 && { listeners }),
    },
    layered_runtime: {
      layers: [
        { name: 'waymark', static_layer: {} },
        // Lets an operator change a runtime flag of one sidecar through its admin port.
        { name: 'admin', admin_layer: {} },
      ],
    },
    overload_manager: buildOverloadManager(limits),
    ...statsOptions,
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
