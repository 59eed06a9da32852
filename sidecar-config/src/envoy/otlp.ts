import {
  Cluster,
  Cluster_DiscoveryType,
  Cluster_DnsLookupFamily,
} from '@envoyproxy/protos/envoy/config/cluster/v3/cluster.ts'
import { isIpAddress, socketAddress } from './address.ts'
import { otlpCluster } from './names.ts'
import { tcpKeepalive, upstreamHttpOptions } from './protocol-options.ts'

/** An OpenTelemetry collector, as sidecars reach it. */
export interface OtlpTarget {
  readonly protocol: 'grpc' | 'http/protobuf'
  /** A host name or an IP address, IPv6 without brackets. */
  readonly host: string
  readonly port: number
  /** Of the trace endpoint; only used by http/protobuf. */
  readonly path: string
}

interface OtlpEndpoint {
  /** `http://collector:4317`, as in OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly endpoint: string
  /** As in OTEL_EXPORTER_OTLP_PROTOCOL. */
  readonly protocol: string
}

const defaultPorts = { grpc: 4317, 'http/protobuf': 4318 } as const

const isOtlpProtocol = (protocol: string): protocol is keyof typeof defaultPorts =>
  Object.hasOwn(defaultPorts, protocol)

/**
 * Reads where to send spans, as the OpenTelemetry specification of the OTLP exporter writes it (for HTTP the
 * signal's path is appended to the endpoint). Throws RangeError with a sentence for people.
 */
export const parseOtlpEndpoint = ({ endpoint, protocol }: OtlpEndpoint): OtlpTarget => {
  if (!isOtlpProtocol(protocol))
    throw new RangeError(`OTLP protocol "${protocol}" is not supported; accepted: grpc, http/protobuf`)
  const url = URL.parse(endpoint)
  if (url?.protocol !== 'http:' || url.hostname === '')
    throw new RangeError(
      `OTLP endpoint "${endpoint}" is not supported; accepted: an http:// URL, such as http://127.0.0.1:4317`,
    )
  return {
    protocol,
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? defaultPorts[protocol] : Number(url.port),
    path: `${url.pathname.replace(/\/$/, '')}/v1/traces`,
  }
}

/** The cluster of the collector. */
export const buildOtlpCluster = ({ host, port, protocol }: OtlpTarget): Cluster =>
  Cluster.fromPartial({
    name: otlpCluster,
    type: isIpAddress(host) ? Cluster_DiscoveryType.STATIC : Cluster_DiscoveryType.STRICT_DNS,
    // IPv4 and IPv6, whichever connects: the default takes IPv6 only where a name has both.
    dnsLookupFamily: Cluster_DnsLookupFamily.ALL,
    connectTimeout: { seconds: 1, nanos: 0 },
    loadAssignment: {
      clusterName: otlpCluster,
      endpoints: [{ lbEndpoints: [{ endpoint: { address: socketAddress(host, port) } }] }],
    },
    // Spans wait here while the collector is away; what is above is dropped.
    circuitBreakers: { thresholds: [{ maxPendingRequests: 64, maxRequests: 64 }] },
    typedExtensionProtocolOptions: upstreamHttpOptions({
      protocol: protocol === 'grpc' ? 'grpc' : 'http',
      connectionIdle: '1h',
    }),
    upstreamConnectionOptions: tcpKeepalive,
  })
