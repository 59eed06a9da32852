import { ClusterLoadAssignment } from '@envoyproxy/protos/envoy/config/endpoint/v3/endpoint.ts'
import { buildEndpoints } from '@waymark/sidecar-config/envoy/endpoints.ts'

/** A ClusterLoadAssignment of an endpoint for each port. */
export const endpointsBody = (service: string, ports: readonly number[]): Uint8Array =>
  ClusterLoadAssignment.encode(
    buildEndpoints({
      service,
      endpoints: ports.map((port, index) => ({
        id: `${service}-${index}`,
        address: `10.0.${index >> 8}.${index & 255}`,
        port,
        weight: 1,
        health: 'HEALTHY',
        locality: { region: 'r1', zone: 'z1' },
      })),
    }),
  ).finish()

/** The ports of so many endpoints, of which one is another in each turn. */
export const portsInTurn = (endpoints: number, turn: number): readonly number[] =>
  Array.from({ length: endpoints }, (_, index) =>
    index === turn % endpoints ? 9_000 + (turn % 10_000) : 8_080,
  )
