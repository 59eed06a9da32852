import type { Clock } from '../../runtime/clock.ts'
import type { AddressPolicy } from './address-policy.ts'
import { probeHttp } from './probe-http.ts'
import type { Probe } from './probe-result.ts'
import { probeTcp } from './probe-tcp.ts'

/** Probes over the network, within the policy. */
export const createProbe =
  ({ policy, clock }: { readonly policy: AddressPolicy; readonly clock: Clock }): Probe =>
  async (check, target, signal) => {
    if (!policy.allows(target.address)) {
      const output = `${target.address} is not probed: this control plane denies checks of it`
      return { ok: false, output, timedOut: false }
    }
    return check.kind === 'http'
      ? probeHttp(check, { target, clock, signal })
      : probeTcp(check, { target, clock, signal })
  }
