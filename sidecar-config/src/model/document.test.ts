import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { documentKinds, parseDocument } from './document.ts'

const errorsOf = (kind: string, name: string, spec: unknown) => {
  const result = parseDocument(kind, name, spec)
  return result.ok ? [] : result.errors
}

describe('parseDocument', () => {
  it('fills in what a document leaves out', () => {
    expect(parseDocument('Service', 'payments', {})).toEqual({
      ok: true,
      document: { kind: 'Service', name: 'payments', spec: { protocol: 'http' } },
    })
    expect(parseDocument('TrafficPolicy', 'payments', { panicThreshold: 0 })).toEqual({
      ok: true,
      document: {
        kind: 'TrafficPolicy',
        name: 'payments',
        spec: { destination: 'payments', panicThreshold: 0 },
      },
    })
    expect(
      parseDocument('TrafficPolicy', 'web-to-payments', { destination: 'payments', caller: 'web' }),
    ).toEqual({
      ok: true,
      document: {
        kind: 'TrafficPolicy',
        name: 'web-to-payments',
        spec: { destination: 'payments', caller: 'web' },
      },
    })
  })

  it.each([
    ['Route', {}, '{kind}', 'one of: Service, TrafficPolicy, EventSink'],
    ['constructor', {}, '{kind}', 'one of: Service, TrafficPolicy, EventSink'],
    ['Service', null, '', 'an object with the fields protocol, description'],
    ['Service', [], '', 'an object with the fields protocol, description'],
    ['Service', { protocol: 'tcp' }, '/protocol', 'one of: http, http2, grpc'],
    ['Service', { protocols: 'http' }, '/protocols', 'the fields protocol, description'],
    ['Service', { 'a/b~c': 1 }, '/a~1b~0c', 'the fields protocol, description'],
    ['TrafficPolicy', { destination: 'Not a name' }, '/destination', /a service name/],
    ['TrafficPolicy', { caller: 'x.mesh' }, '/caller', /not ending in "mesh"/],
    ['TrafficPolicy', { timeouts: { connect: 5 } }, '/timeouts/connect', /from 1ms to 1m/],
    ['TrafficPolicy', { timeouts: { connect: '0s' } }, '/timeouts/connect', /from 1ms to 1m/],
    ['TrafficPolicy', { timeouts: { request: '25h' } }, '/timeouts/request', /from 0s to 24h/],
    [
      'TrafficPolicy',
      { timeouts: { request: '1s', perTry: '2s' } },
      '/timeouts/perTry',
      /at most timeouts.request/,
    ],
    ['TrafficPolicy', { retries: { attempts: -1 } }, '/retries/attempts', 'a whole number from 0 to 10'],
    ['TrafficPolicy', { retries: { attempts: 1.5 } }, '/retries/attempts', 'a whole number from 0 to 10'],
    ['TrafficPolicy', { retries: { on: [] } }, '/retries/on', /a list of different conditions/],
    [
      'TrafficPolicy',
      { retries: { on: ['reset', 'reset'] } },
      '/retries/on',
      /a list of different conditions/,
    ],
    ['TrafficPolicy', { retries: { on: ['often'] } }, '/retries/on/0', /one of: connect-failure/],
    ['TrafficPolicy', { retries: { backoff: { base: '1s' } } }, '/retries/backoff/max', /from 1ms to 10m/],
    [
      'TrafficPolicy',
      { retries: { backoff: { base: '1s', max: '1ms' } } },
      '/retries/backoff/base',
      /at most retries.backoff.max/,
    ],
    ['TrafficPolicy', { connectionLimits: { pending: 0 } }, '/connectionLimits/pending', /from 1 to/],
    [
      'TrafficPolicy',
      { outlierDetection: { baseEjectionTime: '2s', maxEjectionTime: '1s' } },
      '/outlierDetection/baseEjectionTime',
      /at most outlierDetection.maxEjectionTime/,
    ],
    ['TrafficPolicy', { panicThreshold: 101 }, '/panicThreshold', 'a whole number from 0 to 100'],
    ['TrafficPolicy', { loadBalancing: {} }, '/loadBalancing/policy', /one of: roundRobin/],
    [
      'TrafficPolicy',
      { loadBalancing: { policy: 'maglev' } },
      '/loadBalancing/hashOn',
      /header, cookie or source/,
    ],
    [
      'TrafficPolicy',
      { loadBalancing: { policy: 'maglev', hashOn: { header: 'a', source: true } } },
      '/loadBalancing/hashOn',
      /exactly one/,
    ],
    [
      'TrafficPolicy',
      { loadBalancing: { policy: 'maglev', hashOn: { header: 'a\r\nb: c' } } },
      '/loadBalancing/hashOn/header',
      /the name of a header/,
    ],
    [
      'TrafficPolicy',
      { loadBalancing: { policy: 'maglev', hashOn: { source: true, cookieTtl: '1h' } } },
      '/loadBalancing/hashOn/cookieTtl',
      'only with cookie',
    ],
    [
      'TrafficPolicy',
      { loadBalancing: { policy: 'maglev', hashOn: { source: true }, maglev: { tableSize: 65_536 } } },
      '/loadBalancing/maglev/tableSize',
      /a prime number/,
    ],
    [
      'TrafficPolicy',
      {
        loadBalancing: {
          policy: 'ringHash',
          hashOn: { source: true },
          ringHash: { minimumSize: 2, maximumSize: 1 },
        },
      },
      '/loadBalancing/ringHash/minimumSize',
      'at most 1',
    ],
    [
      'TrafficPolicy',
      { loadBalancing: { policy: 'random', slowStart: { window: '1s' } } },
      '/loadBalancing/slowStart',
      'only with roundRobin or leastRequest',
    ],
    ['EventSink', { type: 'webhook' }, '/webhook', /settings of a sink of type webhook/],
    ['EventSink', { type: 'pigeon' }, '/type', /one of: webhook, kafka/],
    ['EventSink', { type: 'stdout', kafka: { brokers: ['a:1'] } }, '/kafka', 'only with type kafka'],
    ['EventSink', { type: 'webhook', webhook: {} }, '/webhook/url', /either webhook.url or/],
    ['EventSink', { type: 'webhook', webhook: { url: 'https://me:pw@h/' } }, '/webhook/url', /without user/],
    [
      'EventSink',
      { type: 'webhook', webhook: { url: 'https://h/', urlSecret: 'hook' } },
      '/webhook/urlSecret',
      /either webhook.url or/,
    ],
    [
      'EventSink',
      { type: 'webhook', webhook: { url: 'https://h/', secret: '../x' } },
      '/webhook/secret',
      /name of a secret/,
    ],
    [
      'EventSink',
      { type: 'webhook', webhook: { url: 'http://h/', tls: { ca: 'hook-ca' } } },
      '/webhook/tls',
      'only with https',
    ],
    ['EventSink', { type: 'file', file: { name: '../../etc/passwd' } }, '/file/name', /a file name/],
    [
      'EventSink',
      {
        type: 'kafka',
        kafka: { brokers: ['a:1'], sasl: { mechanism: 'plain', username: 'u', password: 'pw' } },
      },
      '/kafka/sasl/mechanism',
      /kafka.tls/,
    ],
    ['EventSink', { type: 'nats', nats: { servers: ['a:1'], token: 'tk' } }, '/nats/token', /nats.tls/],
    [
      'EventSink',
      { type: 'nats', nats: { servers: ['a:1'], username: 'u', tls: {} } },
      '/nats/password',
      'both or none of the two',
    ],
    [
      'EventSink',
      { type: 'nats', nats: { servers: ['a:1'], tls: { key: 'client-key' } } },
      '/nats/tls/certificate',
      'both or none of the two',
    ],
    ['EventSink', { type: 'kafka', kafka: { brokers: ['a'] } }, '/kafka/brokers/0', /host:port/],
  ])('%s %j is refused at %s', (kind, spec, pointer, accepted) => {
    expect(errorsOf(kind, 'payments', spec)).toEqual([
      { pointer, detail: expect.any(String) as string, accepted: expect.stringMatching(accepted) as string },
    ])
  })

  it('refuses a name that no service may have', () => {
    for (const name of ['', 'A', 'a_b', 'mesh', '-a', 'a..b', 'a'.repeat(201)])
      expect(errorsOf('Service', name, {})).toMatchObject([{ pointer: '{name}' }])
  })

  it('refuses a name that no sink may have', () => {
    for (const name of ['payments.shop', 'a'.repeat(41), '1a', 'a-'])
      expect(errorsOf('EventSink', name, { type: 'stdout' })).toMatchObject([{ pointer: '{name}' }])
  })

  it('tells several errors at once, but not thousands', () => {
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`field${index}`, 1]))
    expect(errorsOf('TrafficPolicy', 'a', { panicThreshold: -1, nope: 1 })).toHaveLength(2)
    expect(errorsOf('TrafficPolicy', 'a', many).length).toBeLessThanOrEqual(8)
  })

  it('answers any JSON with a document or with errors that say what is accepted', () => {
    fc.assert(
      fc.property(fc.constantFrom(...documentKinds), fc.jsonValue(), (kind, spec) => {
        const result = parseDocument(kind, 'payments', spec)
        if (result.ok) return
        expect(result.errors.length).toBeGreaterThan(0)
        for (const { detail, accepted } of result.errors) {
          expect(detail).not.toBe('')
          expect(accepted).not.toBe('')
        }
      }),
    )
  })
})
