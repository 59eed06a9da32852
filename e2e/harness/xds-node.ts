import { Node } from '@envoyproxy/protos/envoy/config/core/v3/base.ts'

export interface SimulatedNodeOptions {
  readonly service: string
  readonly instance: string
  readonly upstreams?: readonly string[]
}

/** Envoy 1.40.0 lists 516 extensions, and its first message has about 60 KB. */
const extensions = Array.from({ length: 516 }, (_, index) => ({
  name: `envoy.simulated.extension_number_${index}`,
  category: 'envoy.simulated.category',
  typeUrls: [`envoy.extensions.simulated.number_${index}.v3.TheConfiguration`],
}))

/** The node of a sidecar as an Envoy would send it, also in size. */
export const simulatedNode = ({ service, instance, upstreams }: SimulatedNodeOptions): Node =>
  Node.fromPartial({
    id: `${service}/${instance}`,
    cluster: service,
    locality: { region: 'r1', zone: 'z1' },
    metadata: {
      waymark: { outboundPort: 15_001, inboundPort: 15_006, ...(upstreams && { upstreams }) },
    },
    userAgentName: 'envoy',
    userAgentBuildVersion: { version: { majorNumber: 1, minorNumber: 40, patch: 0 } },
    extensions,
  })
