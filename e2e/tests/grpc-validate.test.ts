/** What gRPC programs get is accepted by the library that will read it, whatever the policies. */
import type { MessageType } from '@waymark/sidecar-config/envoy/any.ts'
import { messageTypes } from '@waymark/sidecar-config/envoy/any.ts'
import { buildApiListener, buildGrpcServerListener } from '@waymark/sidecar-config/envoy/api-listener.ts'
import { buildCluster } from '@waymark/sidecar-config/envoy/cluster.ts'
import type { EndpointInput } from '@waymark/sidecar-config/envoy/endpoints.ts'
import { buildGrpcCluster } from '@waymark/sidecar-config/envoy/grpc-cluster.ts'
import { buildGrpcEndpoints, grpcEndpointsName } from '@waymark/sidecar-config/envoy/grpc-endpoints.ts'
import { buildGrpcRoutes } from '@waymark/sidecar-config/envoy/grpc-routes.ts'
import { effectivePolicy } from '@waymark/sidecar-config/model/effective-policy.ts'
import { clusterPolicyOf, routePolicyOf } from '@waymark/sidecar-config/model/traffic-settings.ts'
import { arbitraryEndpoint } from '@waymark/sidecar-config/testing/arbitrary-endpoint.ts'
import { arbitraryPolicies } from '@waymark/sidecar-config/testing/arbitrary-policy.ts'
import * as grpcXds from '@grpc/grpc-js-xds'
import { ClusterResourceType } from '@grpc/grpc-js-xds/build/src/xds-resource-type/cluster-resource-type.js'
import { EndpointResourceType } from '@grpc/grpc-js-xds/build/src/xds-resource-type/endpoint-resource-type.js'
import { ListenerResourceType } from '@grpc/grpc-js-xds/build/src/xds-resource-type/listener-resource-type.js'
import { RouteConfigurationResourceType } from '@grpc/grpc-js-xds/build/src/xds-resource-type/route-config-resource-type.js'
import type {
  XdsDecodeContext,
  XdsResourceType,
} from '@grpc/grpc-js-xds/build/src/xds-resource-type/xds-resource-type.js'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'

const context: XdsDecodeContext = {
  server: { server_uri: '127.0.0.1:1', channel_creds: [{ type: 'insecure' }], server_features: [] },
  bootstrap: {
    xdsServers: [],
    node: { id: 'web/1', locality: {} },
    authorities: {},
    clientDefaultListenerResourceNameTemplate: '%s',
    serverListenerResourceNameTemplate: null,
    certificateProviders: {},
  },
}

/** The name under which gRPC takes the resource; throws with its words when it refuses. */
const accepted = <Message>(as: XdsResourceType, type: MessageType<Message>, message: Message): string => {
  const value = Buffer.from(type.codec.encode(message).finish())
  const result = as.decode(context, { type_url: type.typeUrl, value })
  if (result.error !== undefined) throw new Error(result.error)
  return result.name
}

const settings = (documents: Parameters<typeof effectivePolicy>[0]['documents'] = []) =>
  effectivePolicy({ caller: 'web', destination: 'payments', documents }).settings

describe('what gRPC programs get', () => {
  beforeAll(() => {
    grpcXds.register()
  })

  it('is accepted whatever the policies', () => {
    fc.assert(
      fc.property(arbitraryPolicies, documents => {
        const cluster = buildGrpcCluster({
          service: 'payments',
          policy: clusterPolicyOf(settings(documents)),
        })
        expect(accepted(ClusterResourceType.get(), messageTypes.cluster, cluster)).toBe('payments')
        const routes = buildGrpcRoutes({ service: 'payments', policy: routePolicyOf(settings(documents)) })
        expect(accepted(RouteConfigurationResourceType.get(), messageTypes.routes, routes)).toBe('payments')
      }),
    )
  })

  it('is accepted whatever the instances', () => {
    fc.assert(
      fc.property(
        fc.array(arbitraryEndpoint, { maxLength: 12 }),
        fc.constantFrom('locality' as const, 'endpoint' as const),
        fc.nat(100),
        (endpoints: readonly EndpointInput[], weighting, panicThreshold) => {
          const built = buildGrpcEndpoints({ service: 'payments', endpoints, weighting, panicThreshold })
          expect(accepted(EndpointResourceType.get(), messageTypes.endpoints, built)).toBe(
            grpcEndpointsName('payments', weighting),
          )
        },
      ),
    )
  })

  it.each([
    buildApiListener({ name: 'payments.mesh', service: 'payments' }),
    buildGrpcServerListener({ address: '0.0.0.0', port: 50_051 }),
    buildGrpcServerListener({ address: '::', port: 50_051 }),
  ])('has listeners that are accepted: $name', listener => {
    expect(accepted(ListenerResourceType.get(), messageTypes.listener, listener)).toBe(listener.name)
  })

  it('would be refused if it were what a sidecar gets', () => {
    const policy = clusterPolicyOf({ ...settings(), loadBalancing: { policy: 'leastRequest' } })
    const cluster = buildCluster({ service: 'payments', protocol: 'grpc', policy })
    expect(() => accepted(ClusterResourceType.get(), messageTypes.cluster, cluster)).toThrow(
      /unsupported lb_policy: LEAST_REQUEST/,
    )
  })
})
