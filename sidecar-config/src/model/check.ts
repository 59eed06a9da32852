/** What an active check does, with every default filled in; and the way there from what was written. */
import { X509Certificate } from 'node:crypto'
import { RE2JS } from 're2js'
import type { CheckBody, checkMethods } from './check-schema.ts'
import { formatDuration, parseDuration } from './duration.ts'
import type { FieldError } from './field-errors.ts'

export interface CheckTls {
  /** For SNI, and what the certificate must be for; null: the address. */
  readonly serverName: string | null
  /** PEM; null: the roots that Node brings. */
  readonly ca: string | null
  /** Any certificate will do. */
  readonly skipVerify: boolean
  /** A server that asks for a certificate gets the control plane's. Absent: it gets none. */
  readonly clientCertificate?: true
}

interface CheckTiming {
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Each probe is up to this much later than its turn, at random; absent: 0. */
  readonly jitterMs?: number
  readonly healthyThreshold: number
  readonly unhealthyThreshold: number
  /** Defaults to the instance's own port. */
  readonly port: number | null
  /** Absent: plain text. */
  readonly tls?: CheckTls
}

/** An active probe: any status of `expect` passes (inclusive ranges). Redirects are not followed. */
export interface HttpCheckSpec extends CheckTiming {
  readonly kind: 'http'
  readonly method: (typeof checkMethods)[number]
  readonly path: string
  readonly host: string | null
  readonly headers: Readonly<Record<string, string>>
  readonly expect: readonly (readonly [number, number])[]
  /** In RE2 syntax; has to be found in the first 16 KiB of the body. Absent: any body. */
  readonly body?: string
}

/** An active probe: connecting passes; with TLS, when the handshake succeeds. */
export interface TcpCheckSpec extends CheckTiming {
  readonly kind: 'tcp'
}

/** An active probe by grpc.health.v1.Health/Check: SERVING passes. */
export interface GrpcCheckSpec extends CheckTiming {
  readonly kind: 'grpc'
  /** Empty: the server as a whole. */
  readonly service: string
  /** `:authority`; null: address and port. */
  readonly host: string | null
}

export type CheckSpec = HttpCheckSpec | TcpCheckSpec | GrpcCheckSpec

const second = 1_000
const hour = 3_600 * second

type Refuse = (error: FieldError) => void
type Range = readonly [number, number]

const durationIn = (
  text: string,
  { min, max, pointer, refuse }: { min: number; max: number; pointer: string; refuse: Refuse },
): number => {
  const ms = parseDuration(text)
  if (ms !== undefined && ms >= min && ms <= max) return ms
  const accepted = `a duration from ${formatDuration(min)} to ${formatDuration(max)}`
  refuse({ pointer, detail: `"${text}" is out of range`, accepted })
  return min
}

/** Ascending, without overlap or neighbours: one way to write a set of statuses. */
const mergeRanges = (ranges: readonly Range[]): Range[] => {
  const merged: Range[] = []
  for (const [from, to] of [...ranges].sort(([a], [b]) => a - b)) {
    const last = merged.at(-1)
    if (last !== undefined && from <= last[1] + 1)
      merged[merged.length - 1] = [last[0], Math.max(last[1], to)]
    else merged.push([from, to])
  }
  return merged
}

const expectRanges = (pointer: string, expect: readonly string[], refuse: Refuse): Range[] =>
  mergeRanges(
    expect.map((text, index): Range => {
      const [from, to] = text.split('-').map(Number)
      const range: Range = [from ?? 0, to ?? from ?? 0]
      if (range[0] > range[1])
        refuse({
          pointer: `${pointer}/${index}`,
          detail: `"${text}" descends`,
          accepted: 'an ascending range, such as "200-299"',
        })
      return range
    }),
  )

/** Matching costs up to 50 ns for each instruction of the expression and each character of the body. */
const maxProgram = 100

const checkPattern = (pointer: string, pattern: string, refuse: Refuse): void => {
  const accepted = 'a regular expression in RE2 syntax, without large repetitions'
  try {
    const size = RE2JS.compile(pattern).programSize()
    if (size > maxProgram)
      refuse({ pointer, detail: `compiles to ${size} instructions, above ${maxProgram}`, accepted })
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    refuse({ pointer, detail: `is no expression: ${reason}`, accepted })
  }
}

const pemBlock = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

const checkCa = (pointer: string, pem: string, refuse: Refuse): void => {
  try {
    const blocks = pem.match(pemBlock) ?? []
    for (const block of blocks) new X509Certificate(block)
    if (blocks.length > 0) return
  } catch {
    // Refused below, like a text without any certificate.
  }
  refuse({ pointer, detail: 'holds no certificate that can be read', accepted: 'certificates in PEM' })
}

const tlsOf = (pointer: string, tls: NonNullable<CheckBody['tls']>, refuse: Refuse): CheckTls => {
  const { serverName = null, ca = null, skipVerify = false, clientCertificate = false } = tls
  if (ca !== null) checkCa(`${pointer}/ca`, ca, refuse)
  return { serverName, ca, skipVerify, ...(clientCertificate ? { clientCertificate } : {}) }
}

/** Keys in one order: a spec does not depend on how it was written. */
const sorted = (record: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))

/**
 * What a check that fits its schema means. Says by `refuse` what no schema can: ranges of durations and statuses,
 * expressions, certificates; `pointer` is where the check stands. Pure.
 */
export const completeCheck = (check: CheckBody, pointer: string, refuse: Refuse): CheckSpec => {
  const bounds = { min: second, max: hour, pointer: `${pointer}/interval`, refuse }
  const intervalMs = durationIn(check.interval ?? '10s', bounds)
  const within = { max: intervalMs, refuse }
  const timeoutMs = durationIn(check.timeout ?? '1s', { ...within, min: 10, pointer: `${pointer}/timeout` })
  const jitterMs = durationIn(check.jitter ?? '0s', { ...within, min: 0, pointer: `${pointer}/jitter` })
  const timing = {
    intervalMs,
    timeoutMs,
    ...(jitterMs === 0 ? {} : { jitterMs }),
    healthyThreshold: check.healthyThreshold ?? 2,
    unhealthyThreshold: check.unhealthyThreshold ?? 3,
    port: check.port ?? null,
    ...(check.tls === undefined || check.tls === null
      ? {}
      : { tls: tlsOf(`${pointer}/tls`, check.tls, refuse) }),
  }
  if (check.kind === 'tcp') return { kind: 'tcp', ...timing }
  const host = check.host ?? null
  if (check.kind === 'grpc') return { kind: 'grpc', service: check.service ?? '', host, ...timing }
  const body = check.body ?? null
  if (body !== null) checkPattern(`${pointer}/body`, body, refuse)
  if (body !== null && check.method === 'HEAD') {
    refuse({
      pointer: `${pointer}/body`,
      detail: 'HEAD brings no body',
      accepted: 'a method that brings one',
    })
  }
  return {
    kind: 'http',
    method: check.method ?? 'GET',
    path: check.path ?? '/',
    host,
    headers: sorted(check.headers ?? {}),
    expect: expectRanges(`${pointer}/expect`, check.expect ?? ['200-299'], refuse),
    ...(body === null ? {} : { body }),
    ...timing,
  }
}

/** The check that means this spec, with nothing left out. */
export const checkBody = (check: CheckSpec): CheckBody => {
  const { healthyThreshold, unhealthyThreshold, port, tls } = check
  const timing = {
    interval: formatDuration(check.intervalMs),
    timeout: formatDuration(check.timeoutMs),
    jitter: formatDuration(check.jitterMs ?? 0),
    healthyThreshold,
    unhealthyThreshold,
    port,
    tls: tls === undefined ? null : { clientCertificate: false, ...tls },
  }
  if (check.kind === 'tcp') return { kind: 'tcp', ...timing }
  if (check.kind === 'grpc') return { kind: 'grpc', service: check.service, host: check.host, ...timing }
  const { method, path, host, headers, body = null } = check
  const expect = check.expect.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`))
  return { kind: 'http', method, path, host, headers: { ...headers }, expect, body, ...timing }
}
