import { buildEndpoints } from '@waymark/sidecar-config/envoy/endpoints.ts'
import { ClusterLoadAssignment } from '@envoyproxy/protos/envoy/config/endpoint/v3/endpoint.ts'

/** A ClusterLoadAssignment of so many endpoints, of which one has another port in each turn. */
export const endpointsBody = (service: string, endpoints: number, turn: number): Uint8Array =>
  ClusterLoadAssignment.encode(
    buildEndpoints({
      service,
      endpoints: Array.from({ length: endpoints }, (_, index) => ({
        id: `${service}-${index}`,
        address: `10.0.${index >> 8}.${index & 255}`,
        port: index === turn % endpoints ? 9_000 + (turn % 10_000) : 8_080,
        weight: 1,
        health: 'HEALTHY' as const,
        locality: { region: 'r1', zone: 'z1' },
      })),
    }),
  ).finish()
