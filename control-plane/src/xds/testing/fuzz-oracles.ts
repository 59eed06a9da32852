import { isDeepStrictEqual } from 'node:util'
import {
  DeltaDiscoveryRequest,
  DiscoveryRequest,
} from '@envoyproxy/protos/envoy/service/discovery/v3/discovery.ts'
import type { Delivery } from '../subscription/delivery.ts'
import type { DeltaRequest, SotwRequest } from '../subscription/xds-request.ts'
import { maxWords } from '../transport/decode-request.ts'
import { hasLegacyWildcard } from '../type-urls.ts'

/** Throws unless both say the same. */
const same = (what: string, found: unknown, expected: unknown): void => {
  if (!isDeepStrictEqual(found, expected)) {
    throw new Error(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`)
  }
}

interface Codec<Message> {
  decode(bytes: Uint8Array): Message
  encode(message: Message): { finish(): Uint8Array }
}

/**
 * What generated code reads; undefined for bytes that it would not write itself. What those mean is nobody's promise, and it
 * also reads what ours skips.
 */
const canonical = <Message>(codec: Codec<Message>, bytes: Uint8Array): Message | undefined => {
  try {
    const message = codec.decode(bytes)
    return Buffer.from(bytes).equals(codec.encode(message).finish()) ? message : undefined
  } catch {
    return undefined
  }
}

/** Throws unless the request was read as generated code reads it. */
export function checkDeltaDecoding(bytes: Uint8Array, message: DeltaRequest): void {
  const whole = canonical(DeltaDiscoveryRequest, bytes)
  if (whole === undefined) return
  same('type', message.typeUrl, whole.typeUrl)
  same('subscribe', message.subscribe, whole.resourceNamesSubscribe)
  same('unsubscribe', message.unsubscribe, whole.resourceNamesUnsubscribe)
  const versions = Object.entries(whole.initialResourceVersions)
  same('versions', Object.fromEntries(message.initialVersions), Object.fromEntries(versions))
  same('nonce', message.nonce, whole.responseNonce)
  same('error', message.error, whole.errorDetail?.message.slice(0, maxWords))
  same('node', message.node?.id, whole.node?.id)
}

/** Likewise for state of the world. */
export function checkSotwDecoding(bytes: Uint8Array, message: SotwRequest): void {
  const whole = canonical(DiscoveryRequest, bytes)
  if (whole === undefined) return
  same('type', message.typeUrl, whole.typeUrl)
  same('names', message.names, whole.resourceNames)
  same('version', message.version, whole.versionInfo)
  same('nonce', message.nonce, whole.responseNonce)
  same('error', message.error, whole.errorDetail?.message.slice(0, maxWords))
  same('node', message.node?.id, whole.node?.id)
}

interface Wanted {
  wildcard: boolean
  names: Set<string>
  /** Of state of the world: it has named something, so that an empty list means nothing. */
  named: boolean
}

/** What each type is subscribed to by the words of the protocol: plain sets, and nothing of what makes the real one cheap. */
export class SubscriptionOracle {
  readonly #types = new Map<string, Wanted>()

  delta({ typeUrl, subscribe, unsubscribe }: DeltaRequest): void {
    const known = this.#types.get(typeUrl)
    const wanted = known ?? this.#open(typeUrl)
    for (const name of unsubscribe) {
      wanted.names.delete(name)
      if (name === '*') wanted.wildcard = false
    }
    for (const name of subscribe) wanted.names.add(name)
    if (wanted.names.delete('*')) wanted.wildcard = true
    wanted.wildcard ||= known === undefined && subscribe.length === 0 && hasLegacyWildcard(typeUrl)
  }

  /** `stale`: it answers another response than the last one of its type; its names do not count, that it named some does. */
  sotw({ typeUrl, names }: SotwRequest, stale: boolean): void {
    const wanted = this.#types.get(typeUrl) ?? this.#open(typeUrl)
    wanted.named ||= names.length > 0
    if (stale) return
    wanted.names = new Set(names)
    wanted.wildcard = wanted.names.delete('*') || (!wanted.named && hasLegacyWildcard(typeUrl))
  }

  check({ typeUrl, subscription }: Delivery): void {
    const wanted = this.#types.get(typeUrl)
    same('wildcard', subscription.wildcard, wanted?.wildcard)
    same('names', [...subscription.names].sort(), [...(wanted?.names ?? [])].sort())
  }

  #open(typeUrl: string): Wanted {
    const wanted = { wildcard: false, names: new Set<string>(), named: false }
    this.#types.set(typeUrl, wanted)
    return wanted
  }
}

/** Throws unless an answer has taken the response that it names and those before it, and no other. */
export function checkAnswered(options: {
  readonly before: readonly string[]
  readonly nonce: string
  readonly after: readonly string[]
}): void {
  const { before, nonce, after } = options
  same('unanswered after an answer', after, before.slice(before.indexOf(nonce) + 1))
}
