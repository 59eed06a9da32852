import type { InstanceSpec } from '../domain/instance.ts'

/** What instances of one service mostly have in common. */
type CommonSpec = Omit<InstanceSpec, 'address' | 'port'>

/** The instances of one service, as they are read. */
export interface ServiceParts {
  /** Of all of them, one string. */
  readonly name: string
  /** The last one that was not like the one before it. */
  json: string
  spec: CommonSpec | undefined
}

/**
 * Finds in a mesh that is read what need not be there twice: instances of one service differ in little more than their
 * addresses. Who looks like the one before is not parsed, and takes a quarter less memory.
 */
export class SharedParts {
  readonly #services = new Map<string, ServiceParts>()

  ofService(name: string): ServiceParts {
    let parts = this.#services.get(name)
    if (parts === undefined) {
      parts = { name, json: '', spec: undefined }
      this.#services.set(name, parts)
    }
    return parts
  }
}

/** A specification from its two halves; `json` is all of it but address and port. */
export const joinSpec = (
  parts: ServiceParts,
  { address, port, json }: { readonly address: string; readonly port: number; readonly json: string },
): InstanceSpec => {
  if (parts.spec === undefined || parts.json !== json) {
    // As putInstance wrote it.
    parts.spec = JSON.parse(json) as CommonSpec
    parts.json = json
  }
  return { address, port, ...parts.spec }
}
