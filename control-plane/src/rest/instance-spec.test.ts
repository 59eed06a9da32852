import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatDuration } from '@waymark/sidecar-config/model/duration.ts'
import { toInstanceSpec, toRegistration } from './instance-spec.ts'
import type { RegistrationBody } from './schemas/registration.ts'

const specOf = (body: RegistrationBody) => {
  const result = toInstanceSpec(body)
  if (!result.ok) throw new Error(JSON.stringify(result.errors))
  return result.spec
}
const errorsOf = (body: RegistrationBody) => {
  const result = toInstanceSpec(body)
  return result.ok ? [] : result.errors.map(({ pointer }) => pointer)
}

const duration = (min: number, max: number) => fc.integer({ min, max }).map(formatDuration)
const texts = fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/), fc.string({ maxLength: 20 }), {
  maxKeys: 6,
  noNullPrototype: true,
})
const timing = {
  interval: duration(10_000, 3_600_000),
  timeout: duration(10, 10_000),
  healthyThreshold: fc.integer({ min: 1, max: 100 }),
  unhealthyThreshold: fc.integer({ min: 1, max: 100 }),
  port: fc.option(fc.integer({ min: 1, max: 65_535 })),
  jitter: duration(0, 10_000),
  tls: fc.option(
    fc.record(
      {
        serverName: fc.option(fc.constant('payments.internal')),
        skipVerify: fc.boolean(),
        clientCertificate: fc.boolean(),
      },
      { requiredKeys: [] },
    ),
  ),
}
const range = fc
  .tuple(fc.integer({ min: 100, max: 599 }), fc.integer({ min: 100, max: 599 }))
  .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`)
const check = fc.oneof(
  fc.record({ kind: fc.constant('tcp' as const), ...timing }, { requiredKeys: ['kind'] }),
  fc.record(
    { kind: fc.constant('grpc' as const), service: fc.constantFrom('', 'a.B'), ...timing },
    { requiredKeys: ['kind'] },
  ),
  fc.record(
    {
      kind: fc.constant('http' as const),
      path: fc.constantFrom('/', '/healthz'),
      method: fc.constantFrom('GET' as const, 'OPTIONS' as const),
      body: fc.option(fc.constantFrom('ok', 'up|fine')),
      host: fc.option(fc.constant('payments')),
      headers: texts,
      expect: fc.array(range, { minLength: 1, maxLength: 5 }),
      ...timing,
    },
    { requiredKeys: ['kind'] },
  ),
)
const registration: fc.Arbitrary<RegistrationBody> = fc.record(
  {
    address: fc.oneof(fc.constant('10.0.0.1'), fc.constant('2001:DB8::0:1')),
    port: fc.integer({ min: 1, max: 65_535 }),
    version: fc.option(fc.constantFrom('v1', 'v2')),
    weight: fc.integer({ min: 1, max: 1_000 }),
    metadata: texts,
    locality: fc.record({ region: fc.string(), zone: fc.string() }, { requiredKeys: [] }),
    lease: fc.option(
      fc.record(
        { ttl: duration(1_000, 86_400_000), deregisterAfter: fc.option(duration(0, 86_400_000)) },
        { requiredKeys: [] },
      ),
    ),
    checks: fc.array(check, { maxLength: 8 }),
    sidecar: fc.option(fc.record({ port: fc.integer({ min: 1, max: 65_535 }) }, { requiredKeys: [] })),
  },
  { requiredKeys: ['address', 'port'] },
)

/** The same value with the keys of every object the other way round. */
const reversed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, child]) => [key, reversed(child)]),
  )
}

describe('toInstanceSpec', () => {
  it('fills in every default', () => {
    expect(specOf({ address: '10.0.0.1', port: 80, checks: [{ kind: 'http' }, { kind: 'tcp' }] })).toEqual({
      address: '10.0.0.1',
      port: 80,
      version: null,
      weight: 100,
      metadata: {},
      locality: { region: '', zone: '' },
      lease: { ttlMs: 15_000, deregisterAfterMs: 600_000 },
      checks: [
        {
          kind: 'http',
          method: 'GET',
          path: '/',
          host: null,
          headers: {},
          expect: [[200, 299]],
          intervalMs: 10_000,
          timeoutMs: 1_000,
          healthyThreshold: 2,
          unhealthyThreshold: 3,
          port: null,
        },
        {
          kind: 'tcp',
          intervalMs: 10_000,
          timeoutMs: 1_000,
          healthyThreshold: 2,
          unhealthyThreshold: 3,
          port: null,
        },
      ],
      sidecar: null,
    })
  })

  it('tells no lease from the default one, and a sidecar from none', () => {
    expect(specOf({ address: '10.0.0.1', port: 80, lease: null }).lease).toBeNull()
    expect(specOf({ address: '10.0.0.1', port: 80, lease: { deregisterAfter: null } }).lease).toEqual({
      ttlMs: 15_000,
      deregisterAfterMs: null,
    })
    expect(specOf({ address: '10.0.0.1', port: 80, sidecar: {} }).sidecar).toEqual({ port: 15_006 })
  })

  it('does not depend on the order of keys', () => {
    fc.assert(
      fc.property(registration, body => {
        const other = specOf(reversed(body) as RegistrationBody)
        expect(JSON.stringify(other)).toBe(JSON.stringify(specOf(body)))
      }),
    )
  })

  it('gives the same spec for the registration that it is shown as', () => {
    fc.assert(
      fc.property(registration, body => {
        const spec = specOf(body)
        const shown = JSON.parse(JSON.stringify(toRegistration(spec))) as RegistrationBody
        expect(specOf(shown)).toEqual(spec)
        expect(JSON.parse(JSON.stringify(spec))).toEqual(spec)
      }),
    )
  })

  it('writes a set of statuses in one way', () => {
    const expectOf = (...expectations: string[]) => {
      const [first] = specOf({
        address: '10.0.0.1',
        port: 80,
        checks: [{ kind: 'http', expect: expectations }],
      }).checks
      return first?.kind === 'http' ? first.expect : undefined
    }
    expect(expectOf('404', '200-299', '250-310', '311')).toEqual([
      [200, 311],
      [404, 404],
    ])
  })

  it('names every field that is out of range', () => {
    expect(
      errorsOf({
        address: 'payments.internal',
        port: 80,
        lease: { ttl: '999ms', deregisterAfter: '721h' },
        checks: [
          { kind: 'tcp', interval: '500ms' },
          { kind: 'http', interval: '2s', timeout: '3s', expect: ['200', '299-200'], body: '[' },
          { kind: 'grpc', tls: { ca: 'x' } },
        ],
      }),
    ).toEqual([
      '/address',
      '/lease/ttl',
      '/lease/deregisterAfter',
      '/checks/0/interval',
      '/checks/1/timeout',
      '/checks/1/body',
      '/checks/1/expect/1',
      '/checks/2/tls/ca',
    ])
  })
})
