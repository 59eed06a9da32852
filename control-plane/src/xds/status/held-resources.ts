/** What one client has, with the bytes: the material of CSDS and of `/sidecars/{node}/config`. */
import type { Clock } from '../../runtime/clock.ts'
import type { XdsNode, XdsResource } from '../port.ts'
import type { Delivery } from '../subscription/delivery.ts'

/** One resource of one client: what it should have, what it has, and what it has refused. */
export interface HeldResource {
  readonly typeUrl: string
  readonly name: string
  /** Undefined: it should not have one, or has it from elsewhere. */
  readonly wanted: XdsResource | undefined
  /** The version that it has ACKed, or brought along when it connected; null: none. */
  readonly version: string | null
  /** The bytes of that version, where they are still known here. */
  readonly acked: XdsResource | null
  /** The client knows that there is none. */
  readonly absent: boolean
  /** Sent and not answered yet. */
  readonly unanswered: boolean
  readonly refusal: {
    /** Empty when several resources were refused together. */
    readonly version: string
    /** Envoy's words. */
    readonly message: string
    /** Milliseconds since the epoch. */
    readonly at: number
  } | null
}

/** One connected client, by its newest stream. */
export interface ClientView {
  readonly node: XdsNode
  /** Type by type; read it in one turn of the event loop, or live with changes in between. */
  resources(): Iterable<HeldResource>
}

interface Stream {
  readonly deliveries: readonly Delivery[]
}

export function* heldResources({ deliveries }: Stream, clock: Clock): Iterable<HeldResource> {
  const epoch = clock.now() - clock.monotonic()
  for (const delivery of deliveries) {
    const refusals = new Map(delivery.refusals.flatMap(refusal => refusal.names.map(name => [name, refusal])))
    const { held, unanswered, changed } = delivery
    const names = new Set([...held.keys(), ...unanswered.names(), ...changed.keys(), ...refusals.keys()])
    for (const name of names) {
      const has = held.get(name)
      const wanted = delivery.current(name)
      const version = typeof has === 'string' ? has : (has?.version ?? null)
      const refusal = refusals.get(name)
      yield {
        typeUrl: delivery.typeUrl,
        name,
        wanted,
        version,
        acked: known(has, wanted),
        absent: has === null,
        unanswered: unanswered.last(name) !== undefined,
        refusal:
          refusal === undefined
            ? null
            : {
                version: refusal.version,
                message: refusal.message,
                at: Math.round(epoch + refusal.at),
              },
      }
    }
  }
}

/** Equal versions are equal bytes (X11). */
function known(
  has: XdsResource | string | null | undefined,
  wanted: XdsResource | undefined,
): XdsResource | null {
  if (typeof has === 'object') return has
  return has !== undefined && wanted?.version === has ? wanted : null
}
