import { hostname } from 'node:os'
import { isAbsolute } from 'node:path'
import { parseOtlpEndpoint, type OtlpTarget } from '@waymark/sidecar-config/envoy/otlp.ts'
import { defaultFlapPolicy, type FlapPolicy } from './domain/flapping.ts'
import { AddressPolicy } from './health/checks/address-policy.ts'
import { defaultSelfPreservation, type SelfPreservationPolicy } from './health/expiry.ts'
import { parseSinks, type SinkConfig } from './outbox/sink-config.ts'
import type { KeyPairFiles } from './runtime/key-pair.ts'
import type { TlsFiles } from './xds/transport/tls-material.ts'

export interface ListenAddress {
  /** An IP address or host name to bind. */
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
}

/** How the xDS port is protected. */
export interface XdsSecurity {
  /** Paths of PEM files; null: plain text. */
  readonly tls: TlsFiles | null
  /** Path of the tokens file; null: no token counts. */
  readonly tokensFile: string | null
  /** Of the SPIFFE ids in client certificates; null: they are not asked for. */
  readonly trustDomain: string | null
}

/** Where sidecars send their spans. */
export interface TracingConfig {
  readonly target: OtlpTarget
  /** 0 to 100: the share of traces that begin in the mesh. */
  readonly samplePercent: number
}

/** Everything that the environment decides, read once by `main.ts`. */
export interface Config {
  readonly databaseUrl: string
  readonly http: ListenAddress
  readonly xds: ListenAddress
  readonly xdsSecurity: XdsSecurity
  /** Names this process among the replicas. */
  readonly replicaId: string
  readonly logLevel: LogLevel
  /** Where changes are published. */
  readonly sinks: readonly SinkConfig[]
  /** Where sinks of documents find secrets, one file each; null: in variables only. */
  readonly secretsDirectory: string | null
  /** Where sinks of documents may write files; null: nowhere. */
  readonly sinkFilesDirectory: string | null
  /** Host names that REST answers for, besides addresses and localhost; null: see rest/host-guard.ts. */
  readonly allowedHosts: readonly string[] | null
  /** null: sidecars do not trace. */
  readonly tracing: TracingConfig | null
  /** When too many leases would expire at once. */
  readonly selfPreservation: SelfPreservationPolicy
  /** What active checks must not probe. */
  readonly checkPolicy: AddressPolicy
  /** The certificate with which active checks answer servers that ask for one; null: none. */
  readonly checkCertificate: KeyPairFiles | null
  /** When verdicts that keep changing are held; null: never. */
  readonly flapPolicy: FlapPolicy | null
  /** How long changes stay in the log (days). */
  readonly retentionDays: number
  /** How many revisions stay at most; null: as many as the days keep. */
  readonly retentionRevisions: number | null
  /** How long the log keeps what a sink has not been given. */
  readonly sinkHoldDays: number
  /** Where other replicas reach this one's REST; null: where it listens, see runtime/reachable-host.ts. */
  readonly advertiseHost: string | null
  /** Between two load reports of a sidecar (seconds). */
  readonly loadReportSeconds: number
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

export interface ConfigProblem {
  readonly variable: string
  readonly problem: string
  readonly accepted: string
}

/** Every wrong variable at once. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly ConfigProblem[]

  constructor(problems: readonly ConfigProblem[]) {
    const lines = problems.map(
      ({ variable, problem, accepted }) => `${variable}: ${problem}; accepted: ${accepted}`,
    )
    super(`the environment is not usable\n  ${lines.join('\n  ')}`)
    this.problems = problems
  }
}

const trustDomainForm = 'a name such as mesh.example, from ids spiffe://mesh.example/service/payments'

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)

type Environment = Readonly<Record<string, string | undefined>>

class Reader {
  readonly problems: ConfigProblem[] = []
  readonly #environment: Environment

  constructor(environment: Environment) {
    this.#environment = environment
  }

  text(variable: string): string | undefined {
    const value = this.#environment[variable]?.trim()
    return value === '' ? undefined : value
  }

  wrong(variable: string, problem: string, accepted: string): void {
    this.problems.push({ variable, problem, accepted })
  }

  listen(variable: string, fallback: ListenAddress): ListenAddress {
    const value = this.text(variable)
    if (value === undefined) return fallback
    const match = /^(?:\[([^\]]+)\]|([^:\s]+)):(\d{1,5})$/.exec(value)
    const port = Number(match?.[3])
    const host = match?.[1] ?? match?.[2]
    if (host === undefined || port > 65_535) {
      this.wrong(
        variable,
        `"${value}" is not an address`,
        'host:port, for example 127.0.0.1:7400 or [::1]:7400',
      )
      return fallback
    }
    return { host, port }
  }

  number(
    variable: string,
    range: { readonly fallback: number; readonly min: number; readonly max: number },
  ): number {
    const value = this.text(variable)
    if (value === undefined) return range.fallback
    const number = Number(value)
    if (!Number.isFinite(number) || number < range.min || number > range.max) {
      this.wrong(variable, `"${value}" is out of range`, `a number from ${range.min} to ${range.max}`)
      return range.fallback
    }
    return number
  }

  optionalNumber(variable: string, range: { readonly min: number; readonly max: number }): number | null {
    return this.text(variable) === undefined ? null : this.number(variable, { ...range, fallback: range.min })
  }

  databaseUrl(): string {
    const value = this.text('DATABASE_URL')
    const accepted = 'postgres://user:password@host:port/database'
    if (value === undefined) {
      this.wrong('DATABASE_URL', 'is not set (npm run up starts a Postgres of its own and sets it)', accepted)
      return ''
    }
    if (!/^postgres(ql)?:\/\/\S+$/.test(value)) this.wrong('DATABASE_URL', 'is not a Postgres URL', accepted)
    return value
  }

  logLevel(): LogLevel {
    const value = this.text('WAYMARK_LOG_LEVEL') ?? 'info'
    const level = logLevels.find(name => name === value)
    if (level === undefined) this.wrong('WAYMARK_LOG_LEVEL', `"${value}" is unknown`, logLevels.join(', '))
    return level ?? 'info'
  }

  /** Separated by spaces or commas. */
  list(variable: string): string[] | null {
    return this.text(variable)?.split(/[\s,]+/) ?? null
  }

  checkPolicy(): AddressPolicy {
    const variable = 'WAYMARK_CHECK_DENY'
    try {
      return new AddressPolicy(this.list(variable) ?? undefined)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      this.wrong(variable, error.message, 'CIDRs such as 169.254.0.0/16 or fd00::/8, separated by commas')
      return new AddressPolicy()
    }
  }

  /** null: verdicts are not damped. */
  flapPolicy(): FlapPolicy | null {
    const { holdAt, releaseBelow, halfLifeMs, maxHoldMs } = defaultFlapPolicy
    const seconds = (name: string, fallbackMs: number): number =>
      this.number(name, { fallback: fallbackMs / 1_000, min: 1, max: 86_400 }) * 1_000
    const policy = {
      holdAt: this.number('WAYMARK_FLAP_HOLD_AT', { fallback: holdAt, min: 0, max: 100 }),
      releaseBelow: this.number('WAYMARK_FLAP_RELEASE_BELOW', { fallback: releaseBelow, min: 0.1, max: 100 }),
      halfLifeMs: seconds('WAYMARK_FLAP_HALF_LIFE_SECONDS', halfLifeMs),
      maxHoldMs: seconds('WAYMARK_FLAP_MAX_HOLD_SECONDS', maxHoldMs),
    }
    if (policy.holdAt === 0) return null
    const reachable = policy.releaseBelow * 2 ** (policy.maxHoldMs / policy.halfLifeMs)
    if (policy.releaseBelow >= policy.holdAt)
      this.wrong('WAYMARK_FLAP_RELEASE_BELOW', 'is not below WAYMARK_FLAP_HOLD_AT', 'a smaller number')
    else if (policy.holdAt > reachable)
      this.wrong(
        'WAYMARK_FLAP_MAX_HOLD_SECONDS',
        'is too short for a penalty to reach the hold',
        'a longer time',
      )
    return policy
  }

  selfPreservation(): SelfPreservationPolicy {
    const { maxFraction, minimum, windowMs } = defaultSelfPreservation
    const window = { fallback: windowMs / 1_000, min: 1, max: 3_600 }
    return {
      maxFraction:
        this.number('WAYMARK_EXPIRY_MAX_PERCENT', { fallback: maxFraction * 100, min: 0, max: 100 }) / 100,
      minimum: this.number('WAYMARK_EXPIRY_PAUSE_FROM', { fallback: minimum, min: 1, max: 1_000_000 }),
      windowMs: this.number('WAYMARK_EXPIRY_WINDOW_SECONDS', window) * 1_000,
    }
  }

  /** Of the variables with these names. */
  keyPair(certificateName: string, keyName: string): KeyPairFiles | null {
    const [certificate, key] = [this.text(certificateName), this.text(keyName)]
    if (certificate !== undefined && key !== undefined) return { certificate, key }
    const [set, missing] = certificate === undefined ? [keyName, certificateName] : [certificateName, keyName]
    if (certificate !== key)
      this.wrong(missing, `is not set, but ${set} is`, 'paths of PEM files, both or none')
    return null
  }

  xdsSecurity(listen: ListenAddress): XdsSecurity {
    const pair = this.keyPair('WAYMARK_XDS_TLS_CERT', 'WAYMARK_XDS_TLS_KEY')
    const clientCa = this.text('WAYMARK_XDS_CLIENT_CA') ?? null
    const tokensFile = this.text('WAYMARK_XDS_TOKENS_FILE') ?? null
    const domain = this.text('WAYMARK_TRUST_DOMAIN') ?? null
    const tls = pair === null ? null : { ...pair, clientCa }
    if (clientCa !== null && tls === null)
      this.wrong('WAYMARK_XDS_CLIENT_CA', 'needs TLS', 'with WAYMARK_XDS_TLS_CERT and WAYMARK_XDS_TLS_KEY')
    if (clientCa !== null && domain === null)
      this.wrong('WAYMARK_TRUST_DOMAIN', 'is not set, but WAYMARK_XDS_CLIENT_CA is', trustDomainForm)
    if (domain !== null && !/^[a-z0-9._-]{1,255}$/.test(domain))
      this.wrong('WAYMARK_TRUST_DOMAIN', `"${domain}" is no trust domain`, trustDomainForm)
    this.#plaintext({ listen, tls, tokensFile })
    return { tls, tokensFile, trustDomain: clientCa === null ? null : domain }
  }

  /** Plain text where others can listen is a choice that somebody has to make. */
  #plaintext(options: { listen: ListenAddress; tls: TlsFiles | null; tokensFile: string | null }): void {
    const { listen, tls, tokensFile } = options
    const value = this.text('WAYMARK_XDS_PLAINTEXT') ?? 'no'
    const variable = 'WAYMARK_XDS_LISTEN'
    if (value !== 'yes' && value !== 'no')
      this.wrong('WAYMARK_XDS_PLAINTEXT', `"${value}" is unknown`, 'yes or no')
    if (tls !== null || isLoopback(listen.host)) return
    const reachable = `other hosts can reach ${listen.host}, and there is no TLS`
    if (tokensFile !== null)
      this.wrong('WAYMARK_XDS_TOKENS_FILE', `${reachable}: tokens could be read on the way`, 'with TLS')
    else if (value === 'no')
      this.wrong(
        variable,
        reachable,
        'with WAYMARK_XDS_TLS_CERT and WAYMARK_XDS_TLS_KEY, or WAYMARK_XDS_PLAINTEXT=yes, or on 127.0.0.1',
      )
  }

  directory(variable: string): string | null {
    const value = this.text(variable)
    if (value === undefined) return null
    if (!isAbsolute(value))
      this.wrong(variable, `"${value}" is no absolute path`, 'the absolute path of a folder')
    return value
  }

  sinks(): readonly SinkConfig[] {
    const { sinks, problems } = parseSinks(this.#environment)
    this.problems.push(...problems)
    return sinks
  }

  tracing(): TracingConfig | null {
    const samplePercent = this.number('WAYMARK_TRACE_SAMPLING_PERCENT', { fallback: 100, min: 0, max: 100 })
    const endpoint = this.text('OTEL_EXPORTER_OTLP_ENDPOINT')
    if (endpoint === undefined) return null
    const protocol = this.text('OTEL_EXPORTER_OTLP_PROTOCOL') ?? 'grpc'
    try {
      return { target: parseOtlpEndpoint({ endpoint, protocol }), samplePercent }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      this.wrong(
        'OTEL_EXPORTER_OTLP_ENDPOINT',
        error.message,
        'http://host:4317 with OTEL_EXPORTER_OTLP_PROTOCOL=grpc (the default) or http/protobuf',
      )
      return null
    }
  }
}

/** Throws ConfigError with every wrong variable. `unique` distinguishes processes of one host. */
export const readConfig = (environment: Environment, unique: string): Config => {
  const reader = new Reader(environment)
  const xds = reader.listen('WAYMARK_XDS_LISTEN', { host: '127.0.0.1', port: 7401 })
  const config: Config = {
    databaseUrl: reader.databaseUrl(),
    http: reader.listen('WAYMARK_HTTP_LISTEN', { host: '127.0.0.1', port: 7400 }),
    xds,
    xdsSecurity: reader.xdsSecurity(xds),
    replicaId: reader.text('WAYMARK_REPLICA_ID') ?? `${hostname()}-${unique}`,
    logLevel: reader.logLevel(),
    sinks: reader.sinks(),
    secretsDirectory: reader.directory('WAYMARK_SECRETS_DIR'),
    sinkFilesDirectory: reader.directory('WAYMARK_SINK_FILES_DIR'),
    allowedHosts: reader.list('WAYMARK_ALLOWED_HOSTS'),
    tracing: reader.tracing(),
    selfPreservation: reader.selfPreservation(),
    checkPolicy: reader.checkPolicy(),
    checkCertificate: reader.keyPair('WAYMARK_CHECK_TLS_CERT', 'WAYMARK_CHECK_TLS_KEY'),
    flapPolicy: reader.flapPolicy(),
    retentionRevisions: reader.optionalNumber('WAYMARK_RETENTION_REVISIONS', {
      min: 1_000,
      max: Number.MAX_SAFE_INTEGER,
    }),
    retentionDays: reader.number('WAYMARK_RETENTION_DAYS', { fallback: 7, min: 1, max: 3_650 }),
    sinkHoldDays: reader.number('WAYMARK_SINK_HOLD_DAYS', { fallback: 30, min: 1, max: 3_650 }),
    advertiseHost: reader.text('WAYMARK_ADVERTISE_HOST') ?? null,
    // Every report carries 60 KB of node: in a large mesh a few seconds are not worth the bytes.
    loadReportSeconds: reader.number('WAYMARK_LOAD_REPORT_SECONDS', { fallback: 30, min: 1, max: 3_600 }),
  }
  if (!/^[\w.-]{1,100}$/.test(config.replicaId)) {
    reader.wrong('WAYMARK_REPLICA_ID', 'has odd characters', 'up to 100 letters, digits, ".", "_" and "-"')
  }
  if (config.advertiseHost !== null && !/^[\w.:-]{1,253}$/.test(config.advertiseHost)) {
    reader.wrong('WAYMARK_ADVERTISE_HOST', 'is no host', 'a host name or an IP address, without a port')
  }
  if (reader.problems.length > 0) throw new ConfigError(reader.problems)
  return config
}
