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
      replicaId: 'a',
      logLevel: 'info',
      sinks: [],
      allowedHosts: null,
      tracing: null,
      checkPolicy: new AddressPolicy(),
      retentionDays: 7,
      loadReportSeconds: 30,
    })
    expect(() => readConfig({}, 'x')).toThrow('DATABASE_URL')
  })

  it('reads addresses, also of IPv6', () => {
    const config = readConfig(
      { DATABASE_URL: url, WAYMARK_HTTP_LISTEN: '[::1]:80', WAYMARK_XDS_LISTEN: 'host:0' },
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

  it.each([
    ['DATABASE_URL', 'mysql://x'],
    ['WAYMARK_HTTP_LISTEN', '7400'],
    ['WAYMARK_XDS_LISTEN', '127.0.0.1:99999'],
    ['WAYMARK_LOG_LEVEL', 'loud'],
    ['WAYMARK_REPLICA_ID', 'a b'],
    ['WAYMARK_RETENTION_DAYS', '0'],
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
