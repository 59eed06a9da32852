import type { DeltaRequest, XdsRequest } from '../subscription/xds-request.ts'

/** Names that a request may change in one go; more are taken in parts, so that others come in between. */
const partSize = 1_000
/** From here on the first request of a type is parted too. No mesh has as many, so what a sidecar first gets is whole. */
const firstPartedFrom = 10_000

const isDelta = (message: XdsRequest): message is DeltaRequest => 'subscribe' in message

/**
 * The same request in parts of at most so many names, to be taken one after the other. A name that is in both lists is
 * in both lists of one part, as it means something else alone. What the first request of a type says goes together, unless it
 * only asks for very many. State of the world has no parts: what a list leaves out is a statement too. Undefined: it is not to be
 * parted.
 */
export function requestParts<Request extends XdsRequest>(
  message: Request,
  { first }: { readonly first: boolean },
): readonly Request[] | undefined {
  if (!isDelta(message)) return undefined
  const { subscribe, unsubscribe, initialVersions } = message
  if (subscribe.length + unsubscribe.length <= (first ? firstPartedFrom : partSize)) return undefined
  if (first && (unsubscribe.length > 0 || initialVersions.size > 0)) return undefined
  const dropped = new Set(unsubscribe)
  const both = subscribe.filter(name => dropped.delete(name))
  const taken = new Set(both)
  const lists = [
    ...slices([...dropped]).map(names => ({ subscribe: [], unsubscribe: names })),
    ...slices(both).map(names => ({ subscribe: names, unsubscribe: names })),
    ...slices(subscribe.filter(name => !taken.has(name))).map(names => ({
      subscribe: names,
      unsubscribe: [],
    })),
  ]
  // The first one answers a response, if the request does.
  return lists.map((part, index) => ({
    ...message,
    ...part,
    ...(index === 0 ? {} : { nonce: '', error: undefined, initialVersions: noVersions }),
  }))
}

const noVersions: ReadonlyMap<string, string> = new Map()

function slices(names: readonly string[]): (readonly string[])[] {
  const parts: (readonly string[])[] = []
  for (let from = 0; from < names.length; from += partSize) parts.push(names.slice(from, from + partSize))
  return parts
}
