import { describe, expect, it } from 'vitest'
import { AddressPolicy } from './health/checks/address-policy.ts'
import { ConfigError, readConfig } from './config.ts'

const url = 'postgres://user:secret@db:5432/waymark'

const problemsOf = (environment: Record<string, string>): string[] => {
  try {
    readConfig({ DATABASE_URL: url, ...environment }, 'x')
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ variable }) => variable)
    throw error
  }
  return []
}

describe('readConfig', () => {
  it('has defaults for everything but the database', () => {
    expect(readConfig({ DATABASE_URL: url, WAYMARK_REPLICA_ID: 'a' }, 'x')).toEqual({
      databaseUrl: url,
      http: { host: '127.0.0.1', port: 7400 },
      xds: { host: '127.0.0.1', port: 7401 },
      xdsSecurity: { tls: null, tokensFile: null, trustDomain: null },
      replicaId: 'a',
      logLevel: 'info',
      sinks: [],
      secretsDirectory: null,
      sinkFilesDirectory: null,
      allowedHosts: null,
      tracing: null,
      selfPreservation: { maxFraction: 0.15, minimum: 10, windowMs: 15_000 },
      checkPolicy: new AddressPolicy(),
      checkCertificate: null,
      flapPolicy: { holdAt: 6, releaseBelow: 3, halfLifeMs: 120_000, maxHoldMs: 600_000 },
      retentionDays: 7,
      retentionRevisions: null,
      sinkHoldDays: 30,
      advertiseHost: null,
      loadReportSeconds: 30,
    })
    expect(() => readConfig({}, 'x')).toThrow('DATABASE_URL')
  })

  it('damps verdicts only by numbers that make sense', () => {
    const flap = (environment: Record<string, string>) =>
      readConfig({ DATABASE_URL: url, ...environment }, 'x').flapPolicy
    expect(flap({ WAYMARK_FLAP_HOLD_AT: '0', WAYMARK_FLAP_RELEASE_BELOW: '9' })).toBeNull()
    expect(flap({ WAYMARK_FLAP_HALF_LIFE_SECONDS: '30' })).toMatchObject({ holdAt: 6, halfLifeMs: 30_000 })
    expect(problemsOf({ WAYMARK_FLAP_HOLD_AT: '3' })).toEqual(['WAYMARK_FLAP_RELEASE_BELOW'])
    expect(problemsOf({ WAYMARK_FLAP_MAX_HOLD_SECONDS: '60' })).toEqual(['WAYMARK_FLAP_MAX_HOLD_SECONDS'])
    expect(problemsOf({ WAYMARK_FLAP_HOLD_AT: 'six' })).toEqual(['WAYMARK_FLAP_HOLD_AT'])
  })

  it('pauses expiry by numbers that may be set', () => {
    const { selfPreservation } = readConfig(
      {
        DATABASE_URL: url,
        WAYMARK_EXPIRY_MAX_PERCENT: '40',
        WAYMARK_EXPIRY_PAUSE_FROM: '3',
        WAYMARK_EXPIRY_WINDOW_SECONDS: '60',
      },
      'x',
    )
    expect(selfPreservation).toEqual({ maxFraction: 0.4, minimum: 3, windowMs: 60_000 })
    expect(problemsOf({ WAYMARK_EXPIRY_MAX_PERCENT: '101', WAYMARK_EXPIRY_PAUSE_FROM: '0' })).toEqual([
      'WAYMARK_EXPIRY_MAX_PERCENT',
      'WAYMARK_EXPIRY_PAUSE_FROM',
    ])
  })

  it('reads addresses, also of IPv6', () => {
    const config = readConfig(
      {
        DATABASE_URL: url,
        WAYMARK_HTTP_LISTEN: '[::1]:80',
        WAYMARK_XDS_LISTEN: 'host:0',
        WAYMARK_XDS_PLAINTEXT: 'yes',
      },
      'x',
    )
    expect([config.http, config.xds]).toEqual([
      { host: '::1', port: 80 },
      { host: 'host', port: 0 },
    ])
  })

  it('reads where spans go', () => {
    const environment = { DATABASE_URL: url, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4317' }
    expect(readConfig({ ...environment, WAYMARK_TRACE_SAMPLING_PERCENT: '5' }, 'x').tracing).toMatchObject({
      target: { protocol: 'grpc', host: 'collector', port: 4317 },
      samplePercent: 5,
    })
  })

  it('reads how the xDS port is protected', () => {
    const environment = {
      DATABASE_URL: url,
      WAYMARK_XDS_LISTEN: '0.0.0.0:7401',
      WAYMARK_XDS_TLS_CERT: '/a.crt',
      WAYMARK_XDS_TLS_KEY: '/a.key',
      WAYMARK_XDS_CLIENT_CA: '/ca.crt',
      WAYMARK_TRUST_DOMAIN: 'mesh.example',
      WAYMARK_XDS_TOKENS_FILE: '/tokens.json',
    }
    expect(readConfig(environment, 'x').xdsSecurity).toEqual({
      tls: { certificate: '/a.crt', key: '/a.key', clientCa: '/ca.crt' },
      tokensFile: '/tokens.json',
      trustDomain: 'mesh.example',
    })
  })

  it('has no plain text where others can listen, unless told to', () => {
    const WAYMARK_XDS_TOKENS_FILE = '/tokens.json'
    for (const host of ['0.0.0.0', '[::]', '10.0.0.1', 'waymark.example', '127.evil.example']) {
      const WAYMARK_XDS_LISTEN = `${host}:7401`
      expect(problemsOf({ WAYMARK_XDS_LISTEN })).toEqual(['WAYMARK_XDS_LISTEN'])
      expect(problemsOf({ WAYMARK_XDS_LISTEN, WAYMARK_XDS_PLAINTEXT: 'yes' })).toEqual([])
      const tokens = { WAYMARK_XDS_LISTEN, WAYMARK_XDS_PLAINTEXT: 'yes', WAYMARK_XDS_TOKENS_FILE }
      expect(problemsOf(tokens)).toEqual(['WAYMARK_XDS_TOKENS_FILE'])
    }
    for (const host of ['127.0.0.2', '[::1]', 'localhost']) {
      expect(problemsOf({ WAYMARK_XDS_LISTEN: `${host}:7401`, WAYMARK_XDS_TOKENS_FILE })).toEqual([])
    }
  })

  it('needs what belongs together', () => {
    expect(problemsOf({ WAYMARK_XDS_TLS_CERT: '/a.crt' })).toEqual(['WAYMARK_XDS_TLS_KEY'])
    expect(problemsOf({ WAYMARK_XDS_TLS_KEY: '/a.key' })).toEqual(['WAYMARK_XDS_TLS_CERT'])
    expect(problemsOf({ WAYMARK_CHECK_TLS_CERT: '/a.crt' })).toEqual(['WAYMARK_CHECK_TLS_KEY'])
    expect(problemsOf({ WAYMARK_CHECK_TLS_KEY: '/a.key' })).toEqual(['WAYMARK_CHECK_TLS_CERT'])
    expect(problemsOf({ WAYMARK_XDS_CLIENT_CA: '/ca.crt', WAYMARK_TRUST_DOMAIN: 'a' })).toEqual([
      'WAYMARK_XDS_CLIENT_CA',
    ])
    const tls = { WAYMARK_XDS_TLS_CERT: '/a.crt', WAYMARK_XDS_TLS_KEY: '/a.key' }
    expect(problemsOf({ ...tls, WAYMARK_XDS_CLIENT_CA: '/ca.crt' })).toEqual(['WAYMARK_TRUST_DOMAIN'])
  })

  it.each([
    ['DATABASE_URL', 'mysql://x'],
    ['WAYMARK_HTTP_LISTEN', '7400'],
    ['WAYMARK_XDS_LISTEN', '127.0.0.1:99999'],
    ['WAYMARK_XDS_PLAINTEXT', 'maybe'],
    ['WAYMARK_TRUST_DOMAIN', 'spiffe://mesh.example'],
    ['WAYMARK_LOG_LEVEL', 'loud'],
    ['WAYMARK_REPLICA_ID', 'a b'],
    ['WAYMARK_RETENTION_DAYS', '0'],
    ['WAYMARK_SINK_HOLD_DAYS', '0'],
    ['WAYMARK_RETENTION_REVISIONS', '999'],
    ['WAYMARK_LOAD_REPORT_SECONDS', '0'],
    ['WAYMARK_ADVERTISE_HOST', 'http://a/'],
    ['WAYMARK_SINKS', 'audit=ftp://host'],
    ['WAYMARK_CHECK_DENY', '10.0.0.0/40'],
    ['WAYMARK_TRACE_SAMPLING_PERCENT', '101'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4317'],
  ])('names %s=%s and what it accepts', (variable, value) => {
    expect(problemsOf({ [variable]: value })).toEqual([variable])
    expect(() => readConfig({ DATABASE_URL: url, [variable]: value }, 'x')).toThrow('accepted: ')
  })

  it('names every wrong variable at once and repeats no secret', () => {
    expect(problemsOf({ WAYMARK_HTTP_LISTEN: 'x', WAYMARK_LOG_LEVEL: 'y' })).toEqual([
      'WAYMARK_HTTP_LISTEN',
      'WAYMARK_LOG_LEVEL',
    ])
    expect(() => readConfig({ DATABASE_URL: 'mysql://user:secret@db' }, 'x')).toThrow(/^(?!.*secret)/s)
  })
})
