import { meshDomain, virtualHostName } from '@waymark/sidecar-config/envoy/names.ts'
import { isServiceName } from '../domain/service-name.ts'

const prefix = virtualHostName('')
const suffix = `.${meshDomain}`

/**
 * The service that a virtual host's name stands for. Envoy asks for `outbound/` and the host of a request, in lower
 * case and with its port: `outbound/payments.mesh:8080`. undefined: no service can be meant.
 */
export const serviceOfHost = (name: string): string | undefined => {
  if (!name.startsWith(prefix)) return undefined
  const host = name.slice(prefix.length).replace(/:[0-9]+$/, '')
  const service = host.endsWith(suffix) ? host.slice(0, -suffix.length) : host
  return isServiceName(service) ? service : undefined
}

/**
 * What a sidecar gets that has nothing yet: Envoy opens its listener when it has something. No request asks for it,
 * since it is no host. Envoy takes it only below the route configuration, and without another slash.
 */
export const nothingYet = virtualHostName('?')
