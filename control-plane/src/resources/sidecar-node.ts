import { isInstanceId, isServiceName } from '../domain/service-name.ts'
import { XdsRefusedError, type XdsNode } from '../xds/port.ts'

/** What a sidecar says about itself, checked. */
export interface SidecarNode {
  readonly service: string
  readonly instance: string
  readonly outboundPort: number
  /** null: the port that the instance registered with `sidecar`. */
  readonly inboundPort: number | null
  /** Sorted and without doubles; null: every service, or none on demand. */
  readonly upstreams: readonly string[] | null
  /** Other services come when they are asked for. */
  readonly onDemand: boolean
}

const defaultOutboundPort = 15_001
const upstreamLimit = 10_000

const refuse = (message: string): XdsRefusedError => new XdsRefusedError(3, message)

const portIn = (metadata: Readonly<Record<string, unknown>>, name: string): number | null => {
  const value = metadata[name]
  if (value === undefined) return null
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > 65_535) {
    throw refuse(`node.metadata.waymark.${name} is not a port; accepted: 1 to 65535`)
  }
  return value
}

const upstreamsIn = (metadata: Readonly<Record<string, unknown>>): readonly string[] | null => {
  const value = metadata['upstreams']
  if (value === undefined) return null
  const accepted = `accepted: a list of at most ${upstreamLimit} names of services`
  if (!Array.isArray(value) || value.length > upstreamLimit) {
    throw refuse(`node.metadata.waymark.upstreams is no list; ${accepted}`)
  }
  const names = value.map((name: unknown) => {
    if (typeof name === 'string' && isServiceName(name)) return name
    throw refuse(
      `node.metadata.waymark.upstreams has an entry that is not the name of a service; ${accepted}`,
    )
  })
  return [...new Set(names)].sort()
}

const flagIn = (metadata: Readonly<Record<string, unknown>>, name: string): boolean => {
  const value = metadata[name] ?? false
  if (typeof value === 'boolean') return value
  throw refuse(`node.metadata.waymark.${name} is neither true nor false`)
}

/** Reads node.id `{service}/{instance}` and node.metadata.waymark. Throws XdsRefusedError INVALID_ARGUMENT. */
export const parseSidecarNode = (node: XdsNode): SidecarNode => {
  const slash = node.id.indexOf('/')
  const service = node.id.slice(0, Math.max(0, slash))
  const instance = node.id.slice(slash + 1)
  if (slash < 0 || !isServiceName(service) || !isInstanceId(instance)) {
    throw refuse(`node.id ${JSON.stringify(node.id.slice(0, 200))} is not of the form {service}/{instance}`)
  }
  if (node.metadata !== undefined && (typeof node.metadata !== 'object' || node.metadata === null)) {
    throw refuse('node.metadata.waymark is not an object')
  }
  const metadata = { ...node.metadata }
  return {
    service,
    instance,
    outboundPort: portIn(metadata, 'outboundPort') ?? defaultOutboundPort,
    inboundPort: portIn(metadata, 'inboundPort'),
    upstreams: upstreamsIn(metadata),
    onDemand: flagIn(metadata, 'onDemand'),
  }
}
