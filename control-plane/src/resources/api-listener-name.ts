import { meshDomain } from '@waymark/sidecar-config/envoy/names.ts'
import { isServiceName } from '../domain/service-name.ts'

const form = new RegExp(`^(?<service>.*?)(?:\\.${meshDomain})?(?::[0-9]{1,5})?$`)

/**
 * The service whose API listener a gRPC client asks for: what stands behind `xds:///`. Like a host behind a sidecar
 * it may have the domain of the mesh and a port, which is ignored. undefined: no service can be meant.
 */
export const serviceOfListener = (name: string): string | undefined => {
  const service = form.exec(name)?.groups?.['service'] ?? ''
  return isServiceName(service) ? service : undefined
}
