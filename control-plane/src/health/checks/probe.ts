import type { Clock } from '../../runtime/clock.ts'
import type { AddressPolicy } from './address-policy.ts'
import { BodyPatterns } from './body-patterns.ts'
import { probeGrpc } from './probe-grpc.ts'
import { probeHttp } from './probe-http.ts'
import type { Probe } from './probe-result.ts'
import { probeTcp } from './probe-tcp.ts'
import { TlsContexts, type CheckIdentity } from './tls-contexts.ts'

/**
 * Probes over the network, within the policy. A target is an address, never a name: what the policy has allowed is what
 * is connected to.
 */
export const createProbe = ({
  policy,
  identity = null,
  clock,
}: {
  readonly policy: AddressPolicy
  /** Default null: checks have no client certificate. */
  readonly identity?: CheckIdentity | null
  readonly clock: Clock
}): Probe => {
  const tls = new TlsContexts(identity)
  const patterns = new BodyPatterns()
  return async (check, target, signal) => {
    if (!policy.allows(target.address)) {
      const output = `${target.address} is not probed: this control plane denies checks of it`
      return { ok: false, output, timedOut: false }
    }
    const context = { target, clock, signal, tls, patterns }
    if (check.kind === 'http') return probeHttp(check, context)
    return check.kind === 'grpc' ? probeGrpc(check, context) : probeTcp(check, context)
  }
}
