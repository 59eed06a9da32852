import type { EndpointHealth, EndpointInput } from '@waymark/sidecar-config/envoy/endpoints.ts'
import type { Instance } from '../domain/instance.ts'
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

/**
 * The share of its weight that an instance gets while passive health tries it again, if nothing but that makes it
 * degraded. Envoy would send it nothing at all as long as enough others are healthy; with a small weight it gets the
 * few requests that show how it is.
 */
const trialShare = ({ verdict, evidence }: Instance): number | null => {
  if (verdict !== 'degraded') return null
  const warnings = evidence.filter(({ status }) => status === 'warning')
  const trial = warnings.find(({ source }) => source === 'traffic')?.hold
  return trial?.phase === 'trial' && warnings.length === 1 ? trial.share : null
}

/** The instances of a service as callers reach them: at the sidecar where there is one. */
export const endpointsOf = (service: ServiceState): EndpointInput[] =>
  Array.from(service.instances.values(), instance => {
    const { id, spec, verdict } = instance
    const share = trialShare(instance)
    return {
      id,
      address: spec.address,
      port: spec.sidecar?.port ?? spec.port,
      weight: share === null ? spec.weight : Math.max(1, Math.round(spec.weight * share)),
      health: share === null ? health[verdict] : 'HEALTHY',
      locality: spec.locality,
    }
  })
