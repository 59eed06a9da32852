import { grpcServerPrefix } from '../envoy/api-listener.ts'
import type { ControlPlaneAddress } from './control-plane-cluster.ts'
import type { ControlPlaneTls } from './control-plane-security.ts'

export interface GrpcBootstrapInput {
  readonly service: string
  readonly instance: string
  readonly locality: { readonly region: string; readonly zone: string }
  /** The replicas of the control plane, at least one. Libraries that know how go to the next when one is gone. */
  readonly controlPlane: readonly ControlPlaneAddress[]
  /** Default: plain text. Paths are absolute. */
  readonly tls?: Omit<ControlPlaneTls, 'names'>
}

const credentials = (tls: GrpcBootstrapInput['tls']): Readonly<Record<string, unknown>> =>
  tls === undefined
    ? { type: 'insecure' }
    : {
        type: 'tls',
        config: {
          ca_certificate_file: tls.caFile,
          ...(tls.certificate && {
            certificate_file: tls.certificate.certificateFile,
            private_key_file: tls.certificate.keyFile,
          }),
        },
      }

/**
 * What a gRPC program without a sidecar reads from the file that GRPC_XDS_BOOTSTRAP names (gRFC A27, A36, A65).
 * Throws RangeError without a control plane.
 */
export const buildGrpcBootstrap = (input: GrpcBootstrapInput): Record<string, unknown> => {
  if (input.controlPlane.length === 0)
    throw new RangeError('A gRPC program needs the address of a control plane')
  return {
    xds_servers: input.controlPlane.map(({ host, port }) => ({
      server_uri: `${host.includes(':') ? `[${host}]` : host}:${port}`,
      channel_creds: [credentials(input.tls)],
      server_features: ['xds_v3'],
    })),
    node: {
      id: `${input.service}/${input.instance}`,
      cluster: input.service,
      locality: { region: input.locality.region, zone: input.locality.zone },
    },
    server_listener_resource_name_template: `${grpcServerPrefix}%s`,
  }
}
