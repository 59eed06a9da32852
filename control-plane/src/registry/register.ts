import { isDeepStrictEqual } from 'node:util'
import { assess } from '../domain/assess.ts'
import { isExpired, type Evidence } from '../domain/evidence.ts'
import type { FlapPolicy } from '../domain/flapping.ts'
import type { Instance, InstanceSpec } from '../domain/instance.ts'
import type { Write } from '../store/write.ts'
import type { WriteContext } from './context.ts'

export interface RegisterResult {
  readonly instance: Instance
  readonly created: boolean
}

interface RegisterInput {
  readonly service: string
  readonly id: string
  readonly spec: InstanceSpec
}

/** Registering is itself the first heartbeat. */
const leaseEvidence = (spec: InstanceSpec, now: string, kept: readonly Evidence[]): Evidence[] => {
  if (spec.lease === null) return []
  const before = kept.find(evidence => evidence.source === 'lease' && evidence.status === 'passing')
  return [
    {
      source: 'lease',
      observer: 'registry',
      status: 'passing',
      output: `heartbeats within ${spec.lease.ttlMs} ms`,
      observedAt: now,
      validUntil: null,
      since: before?.since ?? now,
    },
  ]
}

/** Evidence that a changed registration keeps: of checks of the same target that are still asked for in the same words. */
const keptEvidence = (before: Instance, spec: InstanceSpec): Evidence[] => {
  if (before.spec.address !== spec.address || before.spec.port !== spec.port) return []
  return before.evidence.filter(({ source }) => {
    // The document of the service asks for these.
    if (source.startsWith('service-check:')) return true
    if (!source.startsWith('check:')) return false
    const index = Number(source.slice('check:'.length))
    return isDeepStrictEqual(before.spec.checks[index], spec.checks[index])
  })
}

/**
 * A registration makes the instance present and willing: it ends a drain and an expiry, but not an operator's
 * maintenance.
 */
export const registerWrite = (
  { service, id, spec }: RegisterInput,
  { actor, traceparent }: WriteContext,
  flapPolicy: FlapPolicy | null,
): Write<RegisterResult> => ({
  touches: [{ kind: 'instance', service, id }],
  actor,
  traceparent,
  decide: draft => {
    const before = draft.instance(service, id)
    const now = draft.time
    const incarnation = draft.nextIncarnation()
    if (before === undefined) {
      const evidence = leaseEvidence(spec, now, [])
      // Named one by one: what is spread takes five times the memory until it is collected.
      const { verdict, flapping, reviewAt } = assess({
        evidence,
        override: null,
        before: null,
        now: draft.now,
        flapPolicy,
      })
      const instance = draft.putInstance(
        {
          service,
          id,
          incarnation,
          spec,
          verdict,
          evidence,
          override: null,
          flapping,
          reviewAt,
          removeAt: null,
          registeredAt: now,
          revision: draft.revision,
        },
        'instance.registered',
      )
      draft.beat(instance)
      return { instance, created: true }
    }
    const leaving = before.override?.status === 'draining' || before.removeAt !== null
    // What the process before this one said of itself is not this one's word.
    const reported = before.evidence.some(({ source, status }) => source === 'report' && status !== 'passing')
    if (isDeepStrictEqual(before.spec, spec) && !isExpired(before.evidence) && !leaving && !reported) {
      const instance = { ...before, incarnation }
      draft.amendInstance(instance)
      draft.beat(instance)
      return { instance, created: false }
    }
    const evidence = [...leaseEvidence(spec, now, before.evidence), ...keptEvidence(before, spec)]
    const override = before.override?.status === 'maintenance' ? before.override : null
    const instance = draft.putInstance(
      {
        ...before,
        incarnation,
        spec,
        evidence,
        override,
        // A process that comes back unchanged goes on flapping; another one begins anew.
        ...assess({
          evidence,
          override,
          before: isDeepStrictEqual(before.spec, spec) ? before : null,
          now: draft.now,
          flapPolicy,
        }),
        removeAt: null,
      },
      'instance.updated',
    )
    draft.beat(instance)
    return { instance, created: false }
  },
})
