import {
  buildInboundCluster,
  buildInboundListener,
  type InboundClusterInput,
  type InboundInput,
} from '@waymark/sidecar-config/envoy/inbound.ts'
import { inboundCluster, otlpCluster } from '@waymark/sidecar-config/envoy/names.ts'
import { buildOutboundListener, type OutboundInput } from '@waymark/sidecar-config/envoy/outbound.ts'
import { packCluster, packListener, type PackedResource } from '@waymark/sidecar-config/envoy/resource.ts'
import type { Revision } from '../domain/revision.ts'
import type { ResourceRef, XdsResource } from '../xds/port.ts'
import { clusterType } from '../xds/type-urls.ts'
import { asResource } from './built.ts'

/** Forms that nobody has asked for lately go first; they are built again when they are needed. */
const formLimit = 4_096

/** Envoy refuses a listener that names a cluster which it does not have yet, and would be left without it. */
const needs = (clusters: readonly string[]): readonly ResourceRef[] =>
  clusters.map(name => ({ typeUrl: clusterType, name }))

const forTracing = ({ tracing }: OutboundInput | InboundInput): string[] =>
  tracing === null ? [] : [otlpCluster]

/**
 * The resources that sidecars have for themselves. Most sidecars of a mesh use the same ports, so they are built once
 * for each input: sidecars that connect all at once cost a look-up each, and share bytes.
 */
export class OwnResources {
  readonly #forms = new Map<string, XdsResource>()

  outboundListener(input: OutboundInput, revision: Revision): XdsResource {
    return this.#get(['outbound', input], revision, needs(forTracing(input)), () =>
      packListener(buildOutboundListener(input)),
    )
  }

  inboundListener(input: InboundInput, revision: Revision): XdsResource {
    return this.#get(['inbound', input], revision, needs([inboundCluster, ...forTracing(input)]), () =>
      packListener(buildInboundListener(input)),
    )
  }

  inboundCluster(input: InboundClusterInput, revision: Revision): XdsResource {
    return this.#get(['application', input], revision, undefined, () =>
      packCluster(buildInboundCluster(input)),
    )
  }

  #get(
    input: readonly [string, object],
    revision: Revision,
    dependsOn: readonly ResourceRef[] | undefined,
    pack: () => PackedResource,
  ): XdsResource {
    const key = JSON.stringify(input)
    const known = this.#forms.get(key)
    const form =
      known ??
      asResource({
        packed: pack(),
        revision,
        before: undefined,
        ...(dependsOn === undefined ? {} : { dependsOn }),
      })
    if (known !== undefined) this.#forms.delete(key)
    else if (this.#forms.size >= formLimit) this.#forgetOldest()
    this.#forms.set(key, form)
    return form
  }

  #forgetOldest(): void {
    const [oldest] = this.#forms.keys()
    if (oldest !== undefined) this.#forms.delete(oldest)
  }
}
