import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arbitraryPolicies } from '../testing/arbitrary-policy.ts'
import { defaultTrafficSettings } from './defaults.ts'
import { parseDocument } from './document.ts'
import { effectivePolicy, type TrafficPolicyDocument } from './effective-policy.ts'

const at = (value: unknown, path: string): unknown =>
  path
    .split('.')
    .reduce<unknown>(
      (node, key) =>
        typeof node === 'object' && node !== null ? (node as Record<string, unknown>)[key] : undefined,
      value,
    )

const fields = [
  ...(['timeouts', 'retries', 'connectionLimits', 'outlierDetection'] as const).flatMap(group =>
    Object.keys(defaultTrafficSettings[group]).map(name => `${group}.${name}`),
  ),
  'loadBalancing',
  'panicThreshold',
]

const caller = fc.constantFrom('web', 'jobs', 'other', null)

const policy = (name: string, spec: Omit<TrafficPolicyDocument['spec'], 'destination'>) => ({
  name,
  spec: { destination: 'payments', ...spec },
})

describe('effectivePolicy', () => {
  it('is the built-in default without documents', () => {
    const { settings, sources } = effectivePolicy({ caller: 'web', destination: 'payments', documents: [] })
    expect(settings).toEqual(defaultTrafficSettings)
    expect(Object.keys(sources).sort()).toEqual([...fields].sort())
    expect(Object.values(sources)).toEqual(fields.map(() => ({ level: 'default' })))
  })

  it('takes caller-specific fields before those for all, before defaults', () => {
    const documents = [
      policy('all', { timeouts: { connect: '2s', request: '2s' }, panicThreshold: 10 }),
      policy('web-only', { caller: 'web', timeouts: { request: '3s' } }),
    ]
    const forWeb = effectivePolicy({ caller: 'web', destination: 'payments', documents })
    expect(forWeb.settings.timeouts).toEqual({
      ...defaultTrafficSettings.timeouts,
      connect: '2s',
      request: '3s',
    })
    expect(forWeb.sources).toMatchObject({
      'timeouts.request': { level: 'caller', document: 'web-only' },
      'timeouts.connect': { level: 'destination', document: 'all' },
      'timeouts.idle': { level: 'default' },
      panicThreshold: { level: 'destination', document: 'all' },
    })
    const forOthers = effectivePolicy({ caller: 'jobs', destination: 'payments', documents })
    expect(forOthers.settings.timeouts.request).toBe('2s')
  })

  it('gives each field the value of the narrowest policy that has it, by name among equals', () => {
    fc.assert(
      fc.property(arbitraryPolicies, caller, (documents, caller) => {
        const { settings, sources } = effectivePolicy({ caller, destination: 'payments', documents })
        const ranked = documents
          .filter(({ spec }) => spec.destination === 'payments' && (spec.caller ?? caller) === caller)
          .sort(
            (a, b) =>
              Number(a.spec.caller === undefined) - Number(b.spec.caller === undefined) ||
              a.name.localeCompare(b.name),
          )
        for (const field of fields) {
          const winner = ranked.find(({ spec }) => at(spec, field) !== undefined)
          expect(at(settings, field)).toEqual(at(winner?.spec ?? defaultTrafficSettings, field))
          expect(sources[field]).toEqual(
            winner === undefined
              ? { level: 'default' }
              : {
                  level: winner.spec.caller === undefined ? 'destination' : 'caller',
                  document: winner.name,
                },
          )
        }
      }),
    )
  })

  it('does not depend on the order of documents, nor change them', () => {
    fc.assert(
      fc.property(arbitraryPolicies, caller, (documents, caller) => {
        const before = structuredClone(documents)
        const query = { caller, destination: 'payments' }
        expect(effectivePolicy({ ...query, documents: documents.toReversed() })).toEqual(
          effectivePolicy({ ...query, documents }),
        )
        expect(documents).toEqual(before)
      }),
    )
  })

  it('is tested with policies that are valid', () => {
    fc.assert(
      fc.property(arbitraryPolicies, documents => {
        for (const { name, spec } of documents)
          expect(parseDocument('TrafficPolicy', name, spec)).toMatchObject({ ok: true })
      }),
    )
  })
})
