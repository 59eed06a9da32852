/** Envoy can be told to get its resources in four forms; the sidecars of Waymark use delta on one stream (ADS). */
import {
  ApiConfigSource,
  ApiConfigSource_ApiType,
  ApiVersion,
  ConfigSource,
} from '@envoyproxy/protos/envoy/config/core/v3/config_source.ts'
import { buildBootstrap, type BootstrapInput } from '@waymark/sidecar-config/bootstrap/bootstrap.ts'
import { overAds } from '@waymark/sidecar-config/envoy/ads.ts'
import { xdsCluster } from '@waymark/sidecar-config/envoy/names.ts'
import type { Json } from './static-bootstrap.ts'

export interface XdsForm {
  readonly protocol: 'delta' | 'state of the world'
  /** One stream for all types, or a service and a stream for each. */
  readonly services: 'aggregated' | 'separate'
}

const apiType = ({ protocol }: XdsForm) =>
  protocol === 'delta' ? ApiConfigSource_ApiType.DELTA_GRPC : ApiConfigSource_ApiType.GRPC

/** Where a resource says that Envoy finds another one. */
export const configSourceOf = (form: XdsForm): ConfigSource =>
  form.services === 'aggregated'
    ? overAds(0)
    : ConfigSource.fromPartial({
        resourceApiVersion: ApiVersion.V3,
        initialFetchTimeout: { seconds: 0, nanos: 0 },
        apiConfigSource: ApiConfigSource.fromPartial({
          apiType: apiType(form),
          transportApiVersion: ApiVersion.V3,
          setNodeOnFirstMessageOnly: true,
          grpcServices: [
            {
              envoyGrpc: {
                clusterName: xdsCluster,
                retryPolicy: {
                  retryBackOff: {
                    baseInterval: { seconds: 0, nanos: 200_000_000 },
                    maxInterval: { seconds: 1, nanos: 0 },
                  },
                },
              },
            },
          ],
        }),
      })

/** The bootstrap of a sidecar that gets its clusters and listeners in this form. */
export const bootstrapOf = (form: XdsForm, input: BootstrapInput): Json => {
  const bootstrap = buildBootstrap(input)
  const dynamic = bootstrap['dynamic_resources'] as { readonly ads_config: Json }
  if (form.services === 'separate') {
    const source = ConfigSource.toJSON(configSourceOf(form))
    return { ...bootstrap, dynamic_resources: { cds_config: source, lds_config: source } }
  }
  const api_type = form.protocol === 'delta' ? 'DELTA_GRPC' : 'GRPC'
  return {
    ...bootstrap,
    dynamic_resources: { ...dynamic, ads_config: { ...dynamic.ads_config, api_type } },
  }
}
