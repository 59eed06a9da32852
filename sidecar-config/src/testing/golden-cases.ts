/**
 * Inputs for every builder, and what comes out as JSON. golden.test.ts compares them with the files in golden/;
 * e2e/tests/golden-validate.test.ts has the real Envoy accept each.
 */
import { buildBootstrap } from '../bootstrap/bootstrap.ts'
import type { SecurityInput } from '../bootstrap/control-plane-security.ts'
import { buildCluster } from '../envoy/cluster.ts'
import { buildEndpoints, type EndpointInput } from '../envoy/endpoints.ts'
import { buildInboundCluster, buildInboundListener } from '../envoy/inbound.ts'
import { buildOtlpCluster, parseOtlpEndpoint } from '../envoy/otlp.ts'
import { buildOutboundListener } from '../envoy/outbound.ts'
import {
  packCluster,
  packEndpoints,
  packListener,
  packRoutes,
  packVirtualHost,
  type PackedResource,
} from '../envoy/resource.ts'
import {
  buildMissingHost,
  buildNoRoutes,
  buildOutboundRoutes,
  buildUnknownHost,
  buildVirtualHost,
} from '../envoy/routes.ts'
import { messageJson } from '../envoy/to-json.ts'
import type { TracingInput } from '../envoy/tracing.ts'
import { parseDocument } from '../model/document.ts'
import { effectivePolicy } from '../model/effective-policy.ts'
import type { Protocol } from '../model/service.ts'
import { clusterPolicyOf, routePolicyOf, type TrafficSettings } from '../model/traffic-settings.ts'

/** As the case `bootstrap-secure` has it. */
export const securedInput: SecurityInput = {
  tls: {
    caFile: '/etc/waymark/ca.crt',
    names: ['waymark.example', '10.0.0.1'],
    certificate: { certificateFile: '/etc/waymark/tls.crt', keyFile: '/etc/waymark/tls.key' },
  },
  tokenFile: '/etc/waymark/token',
  secretFilePrefix: '/etc/envoy/bootstrap',
}

export interface GoldenCase {
  /** Also the name of the file. */
  readonly name: string
  /** A resource with its `@type`, or a bootstrap, which has none. */
  readonly json: Readonly<Record<string, unknown>>
}

const policyOf = (spec: Record<string, unknown>): TrafficSettings => {
  const parsed = parseDocument('TrafficPolicy', 'payments', spec)
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors))
  const { document } = parsed
  return effectivePolicy({
    caller: null,
    destination: 'payments',
    documents: document.kind === 'TrafficPolicy' ? [document] : [],
  }).settings
}

const specs = {
  defaults: {},
  strict: {
    timeouts: { connect: '250ms', request: '1.5s', perTry: '500ms', idle: '30s', connectionIdle: '1m' },
    retries: {
      attempts: 3,
      on: ['5xx', 'reset', 'unreached'],
      backoff: { base: '10ms', max: '100ms' },
      budget: { percent: 20, minConcurrency: 5 },
    },
    connectionLimits: { connections: 10, pending: 5, requests: 100 },
    outlierDetection: {
      consecutive5xx: 3,
      consecutiveGatewayFailures: 0,
      interval: '1s',
      baseEjectionTime: '10m',
      maxEjectionPercent: 100,
    },
    panicThreshold: 0,
  },
  lenient: {
    timeouts: { request: '0s', idle: '0s' },
    retries: { attempts: 0 },
    outlierDetection: { enabled: false },
    loadBalancing: { policy: 'random' },
  },
  'round-robin': { loadBalancing: { policy: 'roundRobin', slowStart: { window: '30s' } } },
  'least-request': {
    loadBalancing: { policy: 'leastRequest', leastRequest: { choiceCount: 3 }, slowStart: { window: '1m' } },
  },
  'ring-hash': {
    loadBalancing: {
      policy: 'ringHash',
      hashOn: { header: 'x-user' },
      ringHash: { minimumSize: 2_048, maximumSize: 65_536 },
    },
  },
  maglev: {
    loadBalancing: {
      policy: 'maglev',
      hashOn: { cookie: 'session', cookieTtl: '1h' },
      maglev: { tableSize: 65_537 },
    },
  },
  source: { loadBalancing: { policy: 'maglev', hashOn: { source: true } } },
} as const

const json = ({ typeUrl, body }: PackedResource) => messageJson(typeUrl, body)

const clusterCase = (name: keyof typeof specs, protocol: Protocol): GoldenCase => ({
  name: `cluster-${name}-${protocol}`,
  json: json(
    packCluster(
      buildCluster({ service: 'payments', protocol, policy: clusterPolicyOf(policyOf(specs[name])) }),
    ),
  ),
})

const endpoint = (id: string, address: string, rest: Partial<EndpointInput> = {}): EndpointInput => ({
  id,
  address,
  port: 8_080,
  weight: 1,
  health: 'HEALTHY',
  locality: { region: 'eu', zone: 'eu-1' },
  ...rest,
})

const zone2 = { locality: { region: 'eu', zone: 'eu-2' } }

const endpointsCases = {
  'endpoints-none': [],
  'endpoints-every-health': [
    endpoint('payments-1', '10.0.0.1'),
    endpoint('payments-2', '10.0.0.2', { health: 'DEGRADED' }),
    endpoint('payments-3', '10.0.0.3', { health: 'UNHEALTHY' }),
    endpoint('payments-4', '10.0.0.4', { health: 'DRAINING' }),
    endpoint('payments-5', '10.0.0.5', { health: 'UNKNOWN' }),
  ],
  'endpoints-zones-and-weights': [
    endpoint('payments-9', '10.0.1.9', { ...zone2, weight: 300 }),
    endpoint('payments-2', '10.0.0.2', { weight: 1_000 }),
    endpoint('payments-1', '2001:db8::1', { locality: { region: '', zone: '' } }),
    endpoint('payments-1', '10.0.1.1', { ...zone2, port: 9_090 }),
    endpoint('payments-3', '10.0.0.2', { weight: 0, port: 8_081 }),
  ],
  'endpoints-one-address-twice': [
    endpoint('payments-old', '10.0.0.1', { health: 'UNHEALTHY' }),
    endpoint('payments-new', '10.0.0.1', zone2),
  ],
} as const

const tracing = (endpointUrl: string, protocol: string): TracingInput => ({
  serviceName: 'payments',
  samplePercent: 12.5,
  target: parseOtlpEndpoint({ endpoint: endpointUrl, protocol }),
})
const overGrpc = tracing('http://127.0.0.1:4317', 'grpc')
const overHttp = tracing('http://collector.example:4318/otlp', 'http/protobuf')

const hostCase = (name: keyof typeof specs, service: string): GoldenCase => ({
  name: `host-${name}`,
  json: json(packVirtualHost(buildVirtualHost({ service, policy: routePolicyOf(policyOf(specs[name])) }))),
})

const locality = { region: 'eu', zone: 'eu-1' }

export const goldenCases = (): GoldenCase[] => [
  clusterCase('defaults', 'http'),
  clusterCase('defaults', 'http2'),
  clusterCase('strict', 'grpc'),
  clusterCase('lenient', 'http'),
  clusterCase('round-robin', 'http'),
  clusterCase('least-request', 'http'),
  clusterCase('ring-hash', 'http'),
  clusterCase('maglev', 'http'),
  ...Object.entries(endpointsCases).map(([name, endpoints]) => ({
    name,
    json: json(packEndpoints(buildEndpoints({ service: 'payments', endpoints }))),
  })),
  {
    name: 'cluster-inbound-http',
    json: json(packCluster(buildInboundCluster({ protocol: 'http', appPort: 8_080 }))),
  },
  {
    name: 'cluster-inbound-grpc',
    json: json(
      packCluster(buildInboundCluster({ protocol: 'grpc', appAddress: '10.0.0.1', appPort: 9_090 })),
    ),
  },
  { name: 'cluster-otlp-grpc', json: json(packCluster(buildOtlpCluster(overGrpc.target))) },
  { name: 'cluster-otlp-http', json: json(packCluster(buildOtlpCluster(overHttp.target))) },
  {
    name: 'listener-outbound',
    json: json(packListener(buildOutboundListener({ port: 15_001, tracing: null }))),
  },
  {
    name: 'listener-outbound-on-demand',
    json: json(packListener(buildOutboundListener({ port: 15_001, tracing: null, onDemand: true }))),
  },
  {
    name: 'listener-outbound-traced-grpc',
    json: json(packListener(buildOutboundListener({ port: 15_001, bindAddress: '::1', tracing: overGrpc }))),
  },
  {
    name: 'listener-inbound',
    json: json(packListener(buildInboundListener({ port: 15_006, tracing: null }))),
  },
  {
    name: 'listener-inbound-traced-http',
    json: json(packListener(buildInboundListener({ port: 15_006, bindAddress: '::', tracing: overHttp }))),
  },
  { name: 'routes-outbound', json: json(packRoutes(buildOutboundRoutes())) },
  { name: 'routes-no-such', json: json(packRoutes(buildNoRoutes('no-such'))) },
  hostCase('defaults', 'payments'),
  hostCase('strict', 'payments'),
  hostCase('lenient', 'web.shop'),
  hostCase('ring-hash', 'payments'),
  hostCase('maglev', 'payments'),
  hostCase('source', 'payments'),
  { name: 'host-missing', json: json(packVirtualHost(buildMissingHost('payments'))) },
  { name: 'host-unknown', json: json(packVirtualHost(buildUnknownHost())) },
  {
    name: 'bootstrap-minimal',
    json: buildBootstrap({
      service: 'payments',
      instance: 'payments-1',
      locality,
      controlPlane: [{ host: '127.0.0.1', port: 7_401 }],
    }),
  },
  {
    name: 'bootstrap-full',
    json: buildBootstrap({
      service: 'payments',
      instance: 'payments-1',
      locality,
      controlPlane: [
        { host: 'waymark-1.example', port: 7_401 },
        { host: '2001:db8::2', port: 7_401 },
      ],
      outboundPort: 25_001,
      inboundPort: 25_006,
      adminPort: 25_000,
      upstreams: ['ledger', 'rates'],
      prometheusPort: 25_090,
      readyPort: 25_021,
      maxDownstreamConnections: 1_000,
    }),
  },
  {
    name: 'bootstrap-secure',
    json: buildBootstrap({
      service: 'payments',
      instance: 'payments-1',
      locality,
      controlPlane: [{ host: '10.0.0.1', port: 7_401 }],
      maxHeapMebibytes: 400,
      ...securedInput,
    }),
  },
]
