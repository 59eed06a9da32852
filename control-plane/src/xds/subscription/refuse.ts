import type { Revision } from '../../domain/revision.ts'
import type { XdsResource } from '../port.ts'
import { clusterType } from '../type-urls.ts'
import type { Held } from './batch.ts'
import { mentions, type Refusal, type Refusals } from './refusals.ts'
import type { ReadonlySharedMap } from './shared-map.ts'
import type { SentResponse, Unanswered } from './unanswered.ts'

const maxMessage = 2048

/** What dealing with a NACK needs to know of a type of a stream, and what it does to it. */
export interface RefusedType {
  readonly typeUrl: string
  readonly unanswered: Unanswered
  readonly held: ReadonlySharedMap<Held>
  tracked(name: string): boolean
  current(name: string): XdsResource | undefined
  touch(name: string, revision: Revision): void
  resend(name: string, revision: Revision): void
}

interface Refused {
  readonly type: RefusedType
  readonly refusals: Refusals
  readonly response: SentResponse
}

/**
 * The client has refused a response (X16). Of several resources each is a suspect and is sent again alone; one that was
 * alone is the culprit. What a later response carries too is judged by the answer to that.
 */
export function refuse(
  { type, refusals, response }: Refused,
  { message, at }: { readonly message: string; readonly at: number },
): Refusal {
  const entries = response.resources.length + response.removed.length
  const only = entries === 1 ? response.resources[0] : undefined
  const refusal = {
    names: [...response.resources.map(({ name }) => name), ...response.removed],
    version: only?.version ?? '',
    message: message.slice(0, maxMessage),
    at,
    revision: response.revision,
  }
  if (response.takesBack) return refusal
  const names = refusal.names.filter(name => type.unanswered.last(name) === undefined && type.tracked(name))
  const [name] = names
  if (entries > 1 && name !== undefined) {
    refusals.suspect({ ...refusal, names })
    for (const suspect of names) type.resend(suspect, response.revision)
  } else if (name !== undefined) {
    refusals.convict(name, refusal)
    const current = type.current(name)
    if (current?.version !== only?.version) type.touch(name, current?.revision ?? response.revision)
  }
  if (type.typeUrl === clusterType) {
    for (const cluster of names) {
      if (entries === 1 || mentions(message, cluster)) wantBack({ type, refusals }, cluster, refusal)
    }
  }
  return refusal
}

/** The response, all that is unanswered, will hardly be answered any more: it counts as refused. */
export function giveUp(refused: Refused, why: { readonly message: string; readonly at: number }): Refusal {
  refused.type.unanswered.abandon()
  const refusal = refuse(refused, why)
  for (const { name } of refused.response.resources) wantBack(refused, name, refusal)
  return refusal
}

/**
 * A refused cluster may warm for ever and keep Envoy silent about all others, so it is at once replaced by what
 * the client had, or removed if it had none (X16). What it had from another stream cannot be put back and
 * stays: to remove a cluster that may work would be worse.
 */
function wantBack(
  { type, refusals }: Pick<Refused, 'type' | 'refusals'>,
  name: string,
  refusal: Refusal,
): void {
  const held = type.held.get(name) ?? null
  if (typeof held === 'string' || held?.version === refusal.version || !type.tracked(name)) return
  refusals.takeBack(name, held, refusal.revision)
}
