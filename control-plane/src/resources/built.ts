import type { PackedResource } from '@waymark/sidecar-config/envoy/resource.ts'
import type { Revision } from '../domain/revision.ts'
import type { ResourceRef, XdsResource } from '../xds/port.ts'

interface Built {
  readonly packed: PackedResource
  readonly revision: Revision
  readonly dependsOn?: readonly ResourceRef[]
  /** What was served before; kept if nothing has changed. */
  readonly before: XdsResource | undefined
}

/** A built resource for the xDS server. Unchanged means the same object. */
export const asResource = ({ packed, revision, dependsOn, before }: Built): XdsResource => {
  if (before?.version === packed.version) return before
  const { name, version, body } = packed
  return { name, version, body, revision, ...(dependsOn === undefined ? {} : { dependsOn }) }
}
