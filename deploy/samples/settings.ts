/** What one sample instance is; everything comes from the environment. */
export interface Settings {
  readonly service: string
  readonly instance: string
  readonly version: string | null
  /** Where the program listens. */
  readonly listen: { readonly host: string; readonly port: number }
  /** The address that is registered: how others, or the sidecar's callers, reach this host. */
  readonly address: string
  /** The service that this one calls; null: none. */
  readonly upstream: string | null
  /** The outbound listener of this instance's own sidecar. */
  readonly outbound: URL
  /** The port of the sidecar's inbound listener; null: no sidecar. */
  readonly sidecarPort: number | null
  /** REST of each replica of the control plane, tried in turn. */
  readonly controlPlane: readonly URL[]
  readonly leaseTtlMs: number
  /** How long it keeps serving after SIGTERM. */
  readonly drainMs: number
  readonly locality: { readonly region: string; readonly zone: string } | null
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 }

/** Milliseconds of `500ms`, `10s` or `2m`; null when it is none of them. */
export const parseDuration = (text: string): number | null => {
  const match = /^(\d{1,7})(ms|s|m)$/.exec(text)
  return match === null ? null : Number(match[1]) * (units[match[2] ?? ''] ?? 0)
}

type Environment = Readonly<Record<string, string | undefined>>

/** Throws an error that names the variable that is missing or wrong. */
export const readSettings = (env: Environment): Settings => {
  const optional = (name: string): string | null => env[name]?.trim() || null
  const required = (name: string, example: string): string => {
    const value = optional(name)
    if (value === null) throw new Error(`${name} is not set; set it like ${name}=${example}`)
    return value
  }
  const wrong = (name: string, value: string, example: string): Error =>
    new Error(`${name} is "${value}"; it should look like ${example}`)
  const duration = (name: string, fallback: string): number => {
    const value = optional(name) ?? fallback
    const ms = parseDuration(value)
    if (ms === null) throw wrong(name, value, fallback)
    return ms
  }
  const url = (name: string, value: string, example: string): URL => {
    if (!URL.canParse(value) || new URL(value).protocol !== 'http:') throw wrong(name, value, example)
    return new URL(value)
  }
  const port = (name: string, value: string): number => {
    const number = Number(value)
    if (!Number.isInteger(number) || number < 1 || number > 65_535) throw wrong(name, value, '15006')
    return number
  }

  const listen = required('SAMPLE_LISTEN', '127.0.0.1:8080')
  const split = /^(.+):(\d{1,5})$/.exec(listen)
  const host = split?.[1]?.replace(/^\[|\]$/g, '')
  if (host === undefined) throw wrong('SAMPLE_LISTEN', listen, '127.0.0.1:8080')
  const sidecarPort = optional('SAMPLE_SIDECAR_PORT')
  const zone = optional('SAMPLE_ZONE')
  const outbound = optional('SAMPLE_OUTBOUND') ?? 'http://127.0.0.1:15001'
  const controlPlane = optional('WAYMARK_API') ?? 'http://127.0.0.1:7400'
  return {
    service: required('SAMPLE_SERVICE', 'orders'),
    instance: required('SAMPLE_INSTANCE', 'orders-1'),
    version: optional('SAMPLE_VERSION'),
    listen: { host, port: port('SAMPLE_LISTEN', split?.[2] ?? '') },
    address: optional('SAMPLE_ADDRESS') ?? host,
    upstream: optional('SAMPLE_UPSTREAM'),
    outbound: url('SAMPLE_OUTBOUND', outbound, 'http://127.0.0.1:15001'),
    sidecarPort: sidecarPort === null ? null : port('SAMPLE_SIDECAR_PORT', sidecarPort),
    controlPlane: controlPlane
      .split(',')
      .map(text => url('WAYMARK_API', text.trim(), 'http://127.0.0.1:7400')),
    leaseTtlMs: duration('SAMPLE_LEASE_TTL', '5s'),
    drainMs: duration('SAMPLE_DRAIN', '2s'),
    locality: zone === null ? null : { region: optional('SAMPLE_REGION') ?? 'local', zone },
  }
}
