import { checkBody, completeCheck } from '@waymark/sidecar-config/model/check.ts'
import { formatDuration, parseDuration } from '@waymark/sidecar-config/model/duration.ts'
import type { FieldError } from '../domain/errors.ts'
import type { InstanceSpec, LeaseSpec } from '../domain/instance.ts'
import { canonicalAddress } from './ip-address.ts'
import type { RegistrationBody } from './schemas/registration.ts'

interface Bounds {
  readonly min: number
  readonly max: number
}

const second = 1_000
const minute = 60 * second
const hour = 60 * minute

/** Collects what is wrong, so that a request learns all of it at once. */
class Problems {
  readonly errors: FieldError[] = []

  add(pointer: string, detail: string, accepted: string): void {
    this.errors.push({ pointer, detail, accepted })
  }

  /** Milliseconds of a duration that its schema has accepted. */
  duration(pointer: string, text: string, { min, max }: Bounds): number {
    const ms = parseDuration(text)
    if (ms !== undefined && ms >= min && ms <= max) return ms
    const accepted = `a duration from ${formatDuration(min)} to ${formatDuration(max)}`
    this.add(pointer, `"${text}" is out of range`, accepted)
    return min
  }
}

/** Keys in one order: a spec does not depend on how its request was written. */
const sorted = (record: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))

const defaultLease: LeaseSpec = { ttlMs: 15 * second, deregisterAfterMs: 10 * minute }

const leaseSpec = (lease: RegistrationBody['lease'], problems: Problems): LeaseSpec | null => {
  if (lease === undefined) return defaultLease
  if (lease === null) return null
  const { ttl, deregisterAfter } = lease
  const { ttlMs, deregisterAfterMs } = defaultLease
  return {
    ttlMs: ttl === undefined ? ttlMs : problems.duration('/lease/ttl', ttl, { min: second, max: 24 * hour }),
    deregisterAfterMs:
      deregisterAfter === undefined
        ? deregisterAfterMs
        : deregisterAfter === null
          ? null
          : problems.duration('/lease/deregisterAfter', deregisterAfter, { min: 0, max: 720 * hour }),
  }
}

type SpecResult =
  | { readonly ok: true; readonly spec: InstanceSpec }
  | { readonly ok: false; readonly errors: readonly FieldError[] }

/**
 * What a registration that fits its schema means: every default filled in, one form for everything that can be
 * written in several ways. Pure. Says what no schema can: addresses, ranges of durations and statuses.
 */
export const toInstanceSpec = (body: RegistrationBody): SpecResult => {
  const problems = new Problems()
  const address = canonicalAddress(body.address)
  if (address === undefined) {
    problems.add(
      '/address',
      `"${body.address}" is no address of a host`,
      'an IP address, version 4 or 6, not unspecified, multicast or broadcast; resolve host names first',
    )
  }
  const spec: InstanceSpec = {
    address: address ?? '',
    port: body.port,
    version: body.version ?? null,
    weight: body.weight ?? 100,
    metadata: sorted(body.metadata ?? {}),
    locality: { region: body.locality?.region ?? '', zone: body.locality?.zone ?? '' },
    lease: leaseSpec(body.lease, problems),
    checks: (body.checks ?? []).map((check, index) =>
      completeCheck(check, `/checks/${index}`, error => problems.errors.push(error)),
    ),
    sidecar:
      body.sidecar === null || body.sidecar === undefined ? null : { port: body.sidecar.port ?? 15_006 },
  }
  return problems.errors.length === 0 ? { ok: true, spec } : { ok: false, errors: problems.errors }
}

/** The registration that means this spec, with nothing left out: the body that could be sent again. */
export const toRegistration = (spec: InstanceSpec) => ({
  address: spec.address,
  port: spec.port,
  version: spec.version,
  weight: spec.weight,
  metadata: { ...spec.metadata },
  locality: { ...spec.locality },
  lease:
    spec.lease === null
      ? null
      : {
          ttl: formatDuration(spec.lease.ttlMs),
          deregisterAfter:
            spec.lease.deregisterAfterMs === null ? null : formatDuration(spec.lease.deregisterAfterMs),
        },
  checks: spec.checks.map(checkBody),
  sidecar: spec.sidecar === null ? null : { ...spec.sidecar },
})
