import { describe, expect, it } from 'vitest'
import { parseDocument } from './document.ts'
import { serviceChecksOf } from './service-checks.ts'

const parse = (checks: unknown) => parseDocument('Service', 'payments', { checks })
const errorsOf = (checks: unknown) => {
  const result = parse(checks)
  return result.ok ? [] : result.errors.map(({ pointer, accepted }) => [pointer, accepted])
}

describe('the checks of a Service document', () => {
  it('are shown with every default, and mean the same when they are applied again', () => {
    const result = parse([
      { kind: 'grpc', tls: { skipVerify: true } },
      { kind: 'tcp', jitter: '1s' },
    ])
    if (!result.ok) throw new Error(JSON.stringify(result.errors))
    const { spec } = result.document
    expect(spec).toMatchObject({
      checks: [
        {
          kind: 'grpc',
          service: '',
          host: null,
          interval: '10s',
          timeout: '1s',
          jitter: '0s',
          tls: { serverName: null, ca: null, skipVerify: true, clientCertificate: false },
        },
        { kind: 'tcp', jitter: '1s', tls: null },
      ],
    })
    expect(parseDocument('Service', 'payments', spec)).toEqual(result)
    expect(serviceChecksOf(spec)).toMatchObject([
      { kind: 'grpc', intervalMs: 10_000, tls: { skipVerify: true } },
      { kind: 'tcp', jitterMs: 1_000 },
    ])
    expect(serviceChecksOf({ protocol: 'http' })).toEqual([])
  })

  it.each([
    [{}, '/checks', 'up to 8 checks'],
    [Array.from({ length: 9 }, () => ({ kind: 'tcp' })), '/checks', 'up to 8 checks'],
    [[{}], '/checks/0/kind', 'one of: http, tcp, grpc'],
    [[{ kind: 'udp' }], '/checks/0/kind', 'one of: http, tcp, grpc'],
    [[{ kind: 'tcp' }, { kind: 'tcp', path: '/' }], '/checks/1/path', /^the fields kind, interval/],
    [[{ kind: 'http', path: 'healthz' }], '/checks/0/path', /begins with "\/"/],
    [[{ kind: 'http', method: 'DELETE' }], '/checks/0/method', '"GET", "HEAD" or "OPTIONS"'],
    [[{ kind: 'http', interval: '5' }], '/checks/0/interval', 'a duration from 1s to 1h'],
    [[{ kind: 'http', interval: '500ms' }], '/checks/0/interval', 'a duration from 1s to 1h'],
    [[{ kind: 'http', timeout: '11s' }], '/checks/0/timeout', 'a duration from 10ms to 10s'],
    [[{ kind: 'http', jitter: '11s' }], '/checks/0/jitter', 'a duration from 0s to 10s'],
    [[{ kind: 'http', expect: ['299-200'] }], '/checks/0/expect/0', /ascending/],
    [[{ kind: 'http', body: '(' }], '/checks/0/body', /RE2/],
    [[{ kind: 'http', body: 'a(?=b)' }], '/checks/0/body', /RE2/],
    [[{ kind: 'http', body: '.{0,100}' }], '/checks/0/body', /without large repetitions/],
    [[{ kind: 'http', body: 'ok', method: 'HEAD' }], '/checks/0/body', /a method that brings one/],
    [[{ kind: 'grpc', service: 'a b' }], '/checks/0/service', /the name to ask for/],
    [[{ kind: 'grpc', tls: { skipVerify: 'yes' } }], '/checks/0/tls/skipVerify', /^true/],
    [[{ kind: 'tcp', tls: { clientCertificate: 'mine' } }], '/checks/0/tls/clientCertificate', /^true/],
    [[{ kind: 'tcp', tls: { ca: 'nonsense' } }], '/checks/0/tls/ca', 'certificates in PEM'],
    [
      [{ kind: 'tcp', tls: { ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' } }],
      '/checks/0/tls/ca',
      'certificates in PEM',
    ],
    [[{ kind: 'tcp', tls: { serverName: 'a b' } }], '/checks/0/tls/serverName', /a host name/],
  ])('refuse %j with a pointer and with what is accepted', (checks, pointer, accepted) => {
    const [first, ...more] = errorsOf(checks)
    expect(more).toEqual([])
    expect(first?.[0]).toBe(pointer)
    if (typeof accepted === 'string') expect(first?.[1]).toBe(accepted)
    else expect(first?.[1]).toMatch(accepted)
  })
})
