import { describe, expect, it } from 'vitest'
import type { InstanceDetailView } from '../rest/schemas/instance.ts'
import { explainInstance } from './explain-instance.ts'

const now = Date.parse('2026-03-01T12:00:00.000Z')
const at = (seconds: number): string => new Date(now + seconds * 1_000).toISOString()

type Evidence = InstanceDetailView['evidence'][number]
const evidence = (overrides: Partial<Evidence>): Evidence => ({
  source: 'lease',
  observer: 'r1',
  status: 'passing',
  output: '',
  observedAt: at(-2),
  validUntil: null,
  since: at(-300),
  ...overrides,
})

const instance = (overrides: Partial<InstanceDetailView>): InstanceDetailView => ({
  service: 'payments',
  id: 'a',
  incarnation: 1,
  verdict: 'healthy',
  address: '10.0.0.1',
  port: 80,
  version: null,
  weight: 100,
  metadata: {},
  locality: { region: '', zone: '' },
  lease: { ttl: '15s', deregisterAfter: '10m' },
  checks: [],
  sidecar: null,
  override: null,
  flapping: null,
  evidence: [],
  removeAt: null,
  registeredAt: at(-3_600),
  revision: 7,
  freshness: 'live',
  ...overrides,
})
const lines = (overrides: Partial<InstanceDetailView>): string[] =>
  explainInstance(instance(overrides), now).split('\n')

describe('explainInstance', () => {
  it('tells everything worst first, with ages and with what would end it', () => {
    expect(
      lines({
        verdict: 'maintenance',
        checks: [
          { kind: 'http', method: 'GET', path: '/healthz', interval: '5s', healthyThreshold: 2, tls: {} },
          { kind: 'grpc', service: 'pay', interval: '10s', healthyThreshold: 1 },
        ],
        override: {
          status: 'maintenance',
          reason: 'disk',
          leaving: false,
          actor: 'rest:ada',
          since: at(-60),
          expiresAt: at(1_500),
        },
        flapping: { verdict: 'unhealthy', since: at(-30), until: at(240) },
        evidence: [
          evidence({}),
          evidence({ source: 'check:0', status: 'critical', output: '503 after 3 tries' }),
          evidence({ source: 'check:1', status: 'warning', observer: 'r2' }),
          evidence({ source: 'traffic', status: 'critical', validUntil: at(-5), output: 'old' }),
        ],
      }),
    ).toEqual([
      'payments/a is MAINTENANCE (10.0.0.1:80, revision 7)',
      '  maintenance for 60s: an override',
      '    set by rest:ada: disk',
      '    ends in 25m, or with: waymark override payments/a none',
      '  flapping for 30s: held at unhealthy, its verdict changes too often',
      '    ends in 4m, unless its verdict changes again',
      '  critical for 5m: check:0, GET /healthz over TLS every 5s',
      '    503 after 3 tries',
      '    seen by r1, last 2s ago',
      '    ends when the check passes 2 times in a row',
      '  warning for 5m: check:1, gRPC health of pay every 10s',
      '    seen by r2, last 2s ago',
      '    ends when the check passes once',
      '  passing for 5m: its heartbeats',
      '    seen by r1, last 2s ago',
      '  critical for 5m: the sidecars that call it',
      '    old',
      '    seen by r1, last 2s ago',
      '    no longer valid, since 5s',
    ])
  })

  it.each([
    [{ source: 'lease' }, 'ends with its next heartbeat; else it is removed in 8m'],
    [{ source: 'report' }, 'ends when its heartbeats report another status, or when it registers otherwise'],
    [{ source: 'service-check:0' }, 'ends when the check passes as often as its threshold asks'],
    [{ source: 'traffic' }, 'ends with a trial: it gets a share of its weight again'],
  ])('says what would end critical evidence of %j', (one, words) => {
    const critical = evidence({ ...one, status: 'critical' })
    expect(lines({ verdict: 'unhealthy', evidence: [critical], removeAt: at(480) })).toContain(`    ${words}`)
  })

  it('says what would end a drain', () => {
    const override = {
      status: 'draining',
      reason: '',
      actor: 'rest',
      since: at(-5),
      expiresAt: null,
    } as const
    expect(lines({ override: { ...override, leaving: true }, removeAt: at(20) })).toContain(
      '    ends with its removal in 20s, or when it registers again',
    )
    expect(lines({ override: { ...override, leaving: true }, removeAt: at(-1) })).toContain(
      '    ends with its removal any moment, or when it registers again',
    )
    expect(lines({ override: { ...override, leaving: false } })).toContain(
      '    ends with: waymark override payments/a none',
    )
  })

  it('does not claim to know when evidence was last confirmed', () => {
    expect(lines({ freshness: 'log', evidence: [evidence({ observedAt: at(-300) })] })).toContain(
      '    seen by r1, last at most 5m ago',
    )
  })

  it('keeps what an instance writes off the terminal', () => {
    const text = lines({ evidence: [evidence({ source: 'report', output: 'a\u001b[2Jb' })] }).join('\n')
    expect(text).not.toContain('\u001b')
  })

  it('explains what nobody has judged', () => {
    expect(lines({ verdict: 'unknown' })[1]).toBe('  nobody has said anything about it that still holds')
  })
})
