import type { ChangeSetView } from '@waymark/control-plane/rest/schemas/change.ts'
import type {
  InstanceDetailView,
  InstanceView,
  ServiceSummaryView,
} from '@waymark/control-plane/rest/schemas/instance.ts'
import type { RegistrationBody } from '@waymark/control-plane/rest/schemas/registration.ts'
import type { SidecarDetailView, SidecarListView } from '@waymark/control-plane/rest/schemas/sidecar.ts'
import type { StatusView } from '@waymark/control-plane/rest/schemas/status.ts'

export interface ApiAnswer<T = unknown> {
  readonly status: number
  /** X-Waymark-Revision; null when absent. */
  readonly revision: number | null
  readonly headers: Headers
  /** Parsed where it is JSON, else text; null when empty. */
  readonly body: T
}

/** An answer that a caller of `Api` did not expect. */
class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  readonly body: unknown

  constructor(what: string, { status, body }: ApiAnswer) {
    super(`${what} was answered with ${status}: ${JSON.stringify(body).slice(0, 500)}`)
    this.status = status
    this.body = body
  }
}

const parse = (text: string): unknown => {
  if (text === '') return null
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** The REST interface of one replica, as a user's program calls it. Paths are below `/api/v1`. */
export class Api {
  readonly url: string

  constructor(url: string) {
    this.url = url
  }

  /** Any answer; rejects only when there is none in time. */
  async call<T = unknown>(
    method: string,
    path: string,
    body?: unknown,
    timeoutMs = 10_000,
  ): Promise<ApiAnswer<T>> {
    const response = await fetch(`${this.url}/api/v1${path}`, {
      method,
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
    const revision = response.headers.get('x-waymark-revision')
    return {
      status: response.status,
      revision: revision === null ? null : Number(revision),
      headers: response.headers,
      body: parse(await response.text()) as T,
    }
  }

  /** The answer of a request that succeeds; rejects with ApiError otherwise. */
  async ok<T = unknown>(method: string, path: string, body?: unknown): Promise<ApiAnswer<T>> {
    const answer = await this.call<T>(method, path, body)
    if (answer.status >= 300) throw new ApiError(`${method} ${path}`, answer)
    return answer
  }

  async get<T>(path: string): Promise<T> {
    return (await this.ok<T>('GET', path)).body
  }

  register(service: string, id: string, body: RegistrationBody): Promise<ApiAnswer<InstanceView>> {
    return this.ok('PUT', `/services/${service}/instances/${id}`, body)
  }

  /** Gone at once, or after `drain` (`3s`). */
  deregister(service: string, id: string, drain?: string): Promise<ApiAnswer<InstanceView | null>> {
    const query = drain === undefined ? '' : `?drain=${drain}`
    return this.ok('DELETE', `/services/${service}/instances/${id}${query}`)
  }

  apply(kind: string, name: string, spec: object): Promise<ApiAnswer> {
    return this.ok('PUT', `/documents/${kind}/${name}`, { spec })
  }

  instance(service: string, id: string): Promise<InstanceDetailView> {
    return this.get(`/services/${service}/instances/${id}`)
  }

  async instances(service: string): Promise<readonly InstanceView[]> {
    return (await this.get<{ instances: InstanceView[] }>(`/services/${service}/instances`)).instances
  }

  async services(): Promise<readonly ServiceSummaryView[]> {
    return (await this.get<{ services: ServiceSummaryView[] }>('/services')).services
  }

  sidecars(): Promise<SidecarListView> {
    return this.get('/sidecars')
  }

  sidecar(node: string): Promise<SidecarDetailView> {
    return this.get(`/sidecars/${node}`)
  }

  status(): Promise<StatusView> {
    return this.get('/status')
  }

  /** The whole log after a revision, page by page. */
  async changes(after = 0): Promise<readonly ChangeSetView[]> {
    const all: ChangeSetView[] = []
    for (let next = after; ;) {
      const page = await this.get<{ head: number; next: number; sets: ChangeSetView[] }>(
        `/changes?after=${next}&limit=1000`,
      )
      all.push(...page.sets)
      if (page.sets.length === 0 || page.next >= page.head) return all
      next = page.next
    }
  }
}
