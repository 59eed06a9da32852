import type { Names } from './shared-names.ts'

/**
 * What one stream has subscribed to of one type: rules X1 to X5 of delta xDS. Deterministic, without clock or
 * transport. The names are updated in place: copying them for each message would cost O(names).
 */
export interface Subscription {
  /** The legacy rule (X1) applies to this type: an empty first request is a wildcard. */
  readonly legacy: boolean
  /** The first request has been taken: from then on an empty list means nothing (X2). */
  started: boolean
  wildcard: boolean
  readonly names: Names
}

export interface SubscriptionMessage {
  readonly subscribe: readonly string[]
  readonly unsubscribe: readonly string[]
}

export interface SubscriptionActions {
  /** The wildcard begins, is asked for once more (X5), or ends. */
  readonly wildcard: 'start' | 'again' | 'stop' | undefined
  /** Names that were not subscribed before. */
  readonly added: readonly string[]
  /** Names subscribed before: to be sent again although held (X5). */
  readonly again: readonly string[]
  /** Names no longer subscribed; those still under the wildcard must be answered (X4). */
  readonly dropped: readonly string[]
}

const wildcardName = '*'

export const newSubscription = (options: { legacy: boolean; names?: Names }): Subscription => ({
  legacy: options.legacy,
  started: false,
  wildcard: false,
  names: options.names ?? new Set(),
})

/**
 * Takes the lists of one request. What a message both unsubscribes and subscribes stays subscribed: to send
 * too much is harmless, to leave a client waiting is not.
 */
export function subscribe(state: Subscription, message: SubscriptionMessage): SubscriptionActions {
  const first = !state.started
  const before = state.wildcard
  // What the server assumed before the first request (see DeltaSession) no longer counts.
  if (first) state.wildcard = false
  state.started = true
  let asked = first && state.legacy && message.subscribe.length === 0
  let dropped: Set<string> | undefined
  for (const name of message.unsubscribe) {
    if (name === wildcardName) state.wildcard = false
    else if (state.names.delete(name)) (dropped ??= new Set()).add(name)
  }
  const added = new Set<string>()
  const again = new Set<string>()
  for (const name of message.subscribe) {
    if (name === wildcardName) asked = true
    else if (dropped?.delete(name)) {
      state.names.add(name)
      again.add(name)
    } else if (state.names.has(name)) {
      if (!added.has(name)) again.add(name)
    } else {
      state.names.add(name)
      added.add(name)
    }
  }
  if (asked) state.wildcard = true
  return {
    wildcard: state.wildcard ? wildcardAction(before && !first, asked) : before ? 'stop' : undefined,
    added: [...added],
    again: [...again],
    dropped: dropped === undefined ? [] : [...dropped],
  }
}

function wildcardAction(before: boolean, asked: boolean): SubscriptionActions['wildcard'] {
  if (!before) return 'start'
  return asked ? 'again' : undefined
}
