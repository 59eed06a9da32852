import { isIpAddress } from '../envoy/address.ts'
import { xdsCluster } from '../envoy/names.ts'
import { type SecretFiles, type SecurityInput, tlsSocket, tokenFilter } from './control-plane-security.ts'

export interface ControlPlaneAddress {
  /** A host name, or an IP address (IPv6 without brackets). */
  readonly host: string
  readonly port: number
}

interface ControlPlaneInput extends SecurityInput {
  readonly controlPlane: readonly ControlPlaneAddress[]
}

const typeUrl = (name: string) => `type.googleapis.com/envoy.extensions.${name}`

/**
 * How the names of replicas are resolved. A name that does not resolve keeps its last addresses; the first name
 * that resolves lets the sidecar start. So each question is short, and asked again soon.
 */
const resolution = {
  type: 'STRICT_DNS',
  // The default takes IPv6 addresses only if there are any, and "localhost" has one on which nobody may listen.
  dns_lookup_family: 'ALL',
  dns_refresh_rate: '5s',
  dns_jitter: '2s',
  dns_failure_refresh_rate: { base_interval: '0.5s', max_interval: '5s' },
  typed_dns_resolver_config: {
    name: 'envoy.network.dns_resolver.cares',
    typed_config: {
      '@type': typeUrl('network.dns_resolver.cares.v3.CaresDnsResolverConfig'),
      query_timeout_seconds: 1,
      query_tries: 2,
    },
  },
}

const codec = {
  name: 'envoy.filters.http.upstream_codec',
  typed_config: { '@type': typeUrl('filters.http.upstream_codec.v3.UpstreamCodec') },
}

/**
 * The replicas, all equal, in turn from a random one on: an attempt that fails is followed by one at the next. An address
 * that does not answer costs a second; Envoy finds a replica that has become silent by HTTP/2 pings within 20 s.
 * Outlier detection would make it worse: a replica that restarts is left out while an address that accepts and
 * answers nothing, such as a load balancer without backends, is not.
 */
export const controlPlaneCluster = (input: ControlPlaneInput, files: SecretFiles) => {
  const { controlPlane, tls, tokenFile } = input
  const dns = controlPlane.some(({ host }) => !isIpAddress(host))
  return {
    name: xdsCluster,
    ...(dns ? resolution : { type: 'STATIC' }),
    connect_timeout: '1s',
    lb_policy: 'ROUND_ROBIN',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': typeUrl('upstreams.http.v3.HttpProtocolOptions'),
        explicit_http_config: {
          http2_protocol_options: { connection_keepalive: { interval: '15s', timeout: '5s' } },
        },
        ...(tokenFile !== undefined && { http_filters: [tokenFilter(files), codec] }),
      },
    },
    upstream_connection_options: {
      tcp_keepalive: { keepalive_time: 30, keepalive_interval: 5, keepalive_probes: 3 },
    },
    ...(tls !== undefined && {
      transport_socket: tlsSocket({ tls, files, hosts: controlPlane.map(({ host }) => host) }),
    }),
    load_assignment: {
      cluster_name: xdsCluster,
      endpoints: [
        {
          lb_endpoints: controlPlane.map(({ host, port }) => ({
            endpoint: { address: { socket_address: { address: host, port_value: port } } },
          })),
        },
      ],
    },
  }
}
