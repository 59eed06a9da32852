import { hostPort } from '@waymark/sidecar-config/model/host-port.ts'
import { objectIn, objectsIn, textIn, type Json, type JsonObject } from './json.ts'

const addressText = (endpoint: JsonObject): string => {
  const { socketAddress, ...other } = objectIn(endpoint, 'address')
  if (socketAddress === undefined) return JSON.stringify(other)
  const port = objectIn({ socketAddress }, 'socketAddress')['portValue']
  return hostPort({ host: textIn(socketAddress, 'address'), port: Number(port ?? 0) })
}

const numberOr = (value: Json | undefined, fallback: number): number =>
  value === undefined || value === null ? fallback : Number(value)

const withMetadata = (metadata: JsonObject): JsonObject =>
  Object.keys(metadata).length === 0 ? {} : { metadata }

/**
 * A ClusterLoadAssignment by address. Envoy does not keep what it was sent: its dump is made from its hosts, in its
 * own order and with every default written out.
 */
export const comparableEndpoints = (assignment: JsonObject): JsonObject => {
  const hosts: Record<string, JsonObject> = {}
  for (const group of objectsIn(assignment, 'endpoints')) {
    const where = objectIn(group, 'locality')
    const locality = ['region', 'zone', 'subZone'].map(part => textIn(where, part)).join('/')
    for (const entry of objectsIn(group, 'lbEndpoints')) {
      const endpoint = objectIn(entry, 'endpoint')
      const status = textIn(entry, 'healthStatus')
      hosts[addressText(endpoint)] = {
        hostname: textIn(endpoint, 'hostname'),
        healthStatus: status === '' || status === 'UNKNOWN' ? 'HEALTHY' : status,
        loadBalancingWeight: numberOr(entry['loadBalancingWeight'], 1),
        locality,
        localityWeight: numberOr(group['loadBalancingWeight'], 0),
        priority: numberOr(group['priority'], 0),
        ...withMetadata(objectIn(entry, 'metadata')),
      }
    }
  }
  const policy = objectIn(assignment, 'policy')
  return { hosts, overprovisioningFactor: numberOr(policy['overprovisioningFactor'], 140) }
}
