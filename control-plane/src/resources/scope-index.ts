import type { CallScope } from './call-scope.ts'
import type { PolicyScope } from './policies.ts'

/** Nearly always one alone, of thousands: a set of one would take a few hundred bytes for each of its upstreams. */
type Scopes = CallScope | Set<CallScope>

/** By the service that calls. */
type ByCaller = Map<string, Scopes>

/** Finds scopes by whom they call and as whom, without looking at the others. */
export class ScopeIndex {
  readonly #byUpstream = new Map<string, ByCaller>()
  readonly #callingAll: ByCaller = new Map()

  add(scope: CallScope): void {
    if (scope.upstreams === null) insert(this.#callingAll, scope)
    else this.addUpstreams(scope, scope.upstreams)
  }

  addUpstreams(scope: CallScope, upstreams: Iterable<string>): void {
    for (const upstream of upstreams) {
      let callers = this.#byUpstream.get(upstream)
      if (callers === undefined) {
        callers = new Map()
        this.#byUpstream.set(upstream, callers)
      }
      insert(callers, scope)
    }
  }

  /** `upstreams`: those under which it was added; null: as one that calls every service. */
  remove(scope: CallScope, upstreams: Iterable<string> | null): void {
    if (upstreams === null) remove(this.#callingAll, scope)
    for (const upstream of upstreams ?? []) {
      const callers = this.#byUpstream.get(upstream)
      if (callers === undefined) continue
      remove(callers, scope)
      if (callers.size === 0) this.#byUpstream.delete(upstream)
    }
  }

  /** Every scope with one of these calls, with the services that it calls so. */
  calling(calls: Iterable<PolicyScope>): Map<CallScope, Set<string>> {
    const found = new Map<CallScope, Set<string>>()
    for (const { destination, caller } of calls) {
      for (const callers of [this.#callingAll, this.#byUpstream.get(destination)]) {
        for (const scopes of (caller === null ? callers?.values() : [callers?.get(caller)]) ?? []) {
          for (const each of all(scopes)) {
            const services = found.get(each)
            if (services === undefined) found.set(each, new Set([destination]))
            else services.add(destination)
          }
        }
      }
    }
    return found
  }
}

const insert = (callers: ByCaller, scope: CallScope): void => {
  const scopes = callers.get(scope.caller)
  if (scopes === undefined) callers.set(scope.caller, scope)
  else if (scopes instanceof Set) scopes.add(scope)
  else if (scopes !== scope) callers.set(scope.caller, new Set([scopes, scope]))
}

const remove = (callers: ByCaller, scope: CallScope): void => {
  const scopes = callers.get(scope.caller)
  if (scopes === scope) callers.delete(scope.caller)
  if (!(scopes instanceof Set)) return
  scopes.delete(scope)
  if (scopes.size === 0) callers.delete(scope.caller)
}

const all = (scopes: Scopes | undefined): Iterable<CallScope> =>
  scopes === undefined ? [] : scopes instanceof Set ? scopes : [scopes]
