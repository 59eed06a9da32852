import { Agent, request, type IncomingHttpHeaders } from 'node:http'
import { text } from 'node:stream/consumers'

/** One instance on the way of a request. */
export interface Hop {
  readonly service: string
  readonly instance: string
  readonly version: string | null
}

export type UpstreamAnswer =
  { readonly ok: true; readonly path: readonly Hop[] } | { readonly ok: false; readonly reason: string }

/** The headers that make the requests of one trace one trace; Envoy does the rest. */
const traceHeaders = ['traceparent', 'tracestate', 'baggage', 'x-request-id'] as const

const timeoutMs = 10_000

export interface UpstreamOptions {
  readonly service: string
  /** The outbound listener of the own sidecar. */
  readonly outbound: URL
}

const isHop = (value: unknown): value is Hop =>
  typeof value === 'object' && value !== null && 'service' in value && 'instance' in value

const pathOf = (body: string): readonly Hop[] | null => {
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value !== 'object' || value === null || !('path' in value)) return null
    return Array.isArray(value.path) && value.path.every(isHop) ? value.path : null
  } catch {
    return null
  }
}

/** Calls another service the way an application in the mesh does: its name as host, its own sidecar as proxy. */
export class Upstream {
  readonly #options: UpstreamOptions
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 256, timeout: 30_000 })

  constructor(options: UpstreamOptions) {
    this.#options = options
  }

  async call(incoming: IncomingHttpHeaders): Promise<UpstreamAnswer> {
    const { service, outbound } = this.#options
    const headers: Record<string, string> = { host: service }
    for (const name of traceHeaders) {
      const value = incoming[name]
      if (typeof value === 'string' && value !== '') headers[name] = value
    }
    try {
      const { status, body } = await this.#get(outbound, headers)
      if (status !== 200) return { ok: false, reason: `${service} answered ${status}: ${body.slice(0, 300)}` }
      const path = pathOf(body)
      return path === null ? { ok: false, reason: `${service} answered without a path` } : { ok: true, path }
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'no reason'
      return { ok: false, reason: `${service} could not be reached through the sidecar: ${reason}` }
    }
  }

  close(): void {
    this.#agent.destroy()
  }

  async #get(
    outbound: URL,
    headers: Record<string, string>,
    again = true,
  ): Promise<{ status: number; body: string }> {
    const connection = { reused: false }
    try {
      return await new Promise((resolve, reject) => {
        const outgoing = request(outbound, { agent: this.#agent, headers, timeout: timeoutMs })
        outgoing.once('response', response => {
          text(response).then(body => {
            resolve({ status: response.statusCode ?? 0, body })
          }, reject)
        })
        outgoing.once('timeout', () => outgoing.destroy(new Error(`no answer within ${timeoutMs / 1_000} s`)))
        outgoing.once('error', error => {
          connection.reused = outgoing.reusedSocket
          reject(error)
        })
        outgoing.end()
      })
    } catch (error) {
      // The sidecar closed an idle connection in the moment that it was used again.
      const closed = error instanceof Error && 'code' in error && error.code === 'ECONNRESET'
      if (closed && connection.reused && again) return this.#get(outbound, headers, false)
      throw error
    }
  }
}
