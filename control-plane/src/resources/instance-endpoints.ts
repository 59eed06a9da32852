import type { EndpointHealth, EndpointInput } from '@waymark/sidecar-config/envoy/endpoints.ts'
import type { Verdict } from '../domain/verdict.ts'
import type { ServiceState } from '../mesh/mesh-view.ts'

/** Maintenance is a drain to Envoy; `unknown` is routed like healthy (registry.md, "Verdict"). */
const health: Readonly<Record<Verdict, EndpointHealth>> = {
  healthy: 'HEALTHY',
  degraded: 'DEGRADED',
  unhealthy: 'UNHEALTHY',
  draining: 'DRAINING',
  maintenance: 'DRAINING',
  unknown: 'UNKNOWN',
}

/** The instances of a service as callers reach them: at the sidecar where there is one. */
export const endpointsOf = (service: ServiceState): EndpointInput[] =>
  Array.from(service.instances.values(), ({ id, spec, verdict }) => ({
    id,
    address: spec.address,
    port: spec.sidecar?.port ?? spec.port,
    weight: spec.weight,
    health: health[verdict],
    locality: spec.locality,
  }))
