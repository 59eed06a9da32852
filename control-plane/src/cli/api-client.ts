import type { ProblemView } from '../rest/schemas/problem.ts'
import { reasonOf } from './reason-of.ts'
import { CliError, exitCodes } from './exit-code.ts'

const timeoutMs = 35_000

export interface ApiAnswer<T> {
  readonly status: number
  /** Of X-Waymark-Revision. */
  readonly revision: number
  readonly body: T
}

interface ApiRequest {
  readonly body?: unknown
  /** `waymark:{user}` in the log. */
  readonly actor?: string
}

/** The API refused; `problem` is its reason. */
export class ApiRefusedError extends CliError {
  readonly problem: ProblemView

  constructor(problem: ProblemView) {
    const fields = (problem.errors ?? []).map(
      ({ pointer, detail, accepted }) => `\n  ${pointer || 'the body'}: ${detail}; accepted: ${accepted}`,
    )
    const code = problem.status >= 500 ? exitCodes.unavailable : exitCodes.refused
    super(code, `${problem.title} (${problem.code}): ${problem.detail}${fields.join('')}`)
    this.problem = problem
  }
}

const isProblem = (body: unknown): body is ProblemView =>
  typeof body === 'object' && body !== null && 'code' in body && 'detail' in body && 'status' in body

/** A client of the REST API of one replica. Its answers are taken to be what the API's schemas say. */
export class ApiClient {
  readonly #base: string

  /** Throws CliError for what is no URL. */
  constructor(base: string) {
    if (!URL.canParse(base) || !/^https?:$/.test(new URL(base).protocol)) {
      throw new CliError(exitCodes.usage, `"${base}" is no URL of an API, such as http://127.0.0.1:7400`)
    }
    this.#base = base.replace(/\/+$/, '')
  }

  async get<T>(path: string): Promise<T> {
    return (await this.send<T>('GET', path)).body
  }

  /** `path` is below /api/v1. Rejects with CliError: refused, or unavailable. */
  async send<T>(method: string, path: string, { body, actor }: ApiRequest = {}): Promise<ApiAnswer<T>> {
    const { response, text } = await this.#fetch(method, path, {
      ...(actor === undefined ? {} : { actor }),
      ...(body === undefined ? {} : { type: 'application/json', body: JSON.stringify(body) }),
    })
    const parsed = parse(text)
    if (text !== '' && parsed === undefined) throw this.#notJson(path)
    const revision = Number(response.headers.get('x-waymark-revision') ?? 0)
    return { status: response.status, revision, body: parsed as T }
  }

  /** Posts lines of JSON, and returns the lines of the answer. Rejects as `send` does. */
  async sendLines<T>(path: string, lines: readonly string[]): Promise<T[]> {
    const request = { type: 'application/x-ndjson', body: lines.map(line => `${line}\n`).join('') }
    const { text } = await this.#fetch('POST', path, request)
    return text
      .split('\n')
      .filter(line => line !== '')
      .map(line => {
        const parsed = parse(line)
        if (parsed === undefined) throw this.#notJson(path)
        return parsed as T
      })
  }

  /** Opens a stream that goes on until one side ends it. Rejects as `send` does. */
  async open(
    path: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<AsyncIterable<Uint8Array>> {
    const url = `${this.#base}/api/v1${path}`
    const response = await fetch(url, { headers }).catch((error: unknown) => {
      throw this.#unreachable(error)
    })
    if (!response.ok) throw this.#refused(url, response, await response.text())
    if (response.body === null) throw this.#notJson(path)
    return response.body
  }

  async #fetch(
    method: string,
    path: string,
    { type, body, actor }: { readonly type?: string; readonly body?: string; readonly actor?: string },
  ): Promise<{ readonly response: Response; readonly text: string }> {
    const url = `${this.#base}/api/v1${path}`
    let response: Response
    let text: string
    try {
      response = await fetch(url, {
        method,
        signal: AbortSignal.timeout(timeoutMs),
        headers: {
          ...(type === undefined ? {} : { 'content-type': type }),
          ...(actor === undefined ? {} : { 'x-waymark-actor': actor }),
        },
        ...(body === undefined ? {} : { body }),
      })
      text = await response.text()
    } catch (error) {
      throw this.#unreachable(error)
    }
    if (response.ok) return { response, text }
    throw this.#refused(url, response, text)
  }

  #unreachable(error: unknown): CliError {
    return new CliError(
      exitCodes.unavailable,
      `no answer from ${this.#base}: ${reasonOf(error)}. Is the control plane running? Another address: --api or WAYMARK_API`,
      { cause: error },
    )
  }

  #refused(url: string, { status }: Response, text: string): CliError {
    const problem = parse(text)
    if (isProblem(problem)) return new ApiRefusedError(problem)
    return new CliError(exitCodes.refused, `${url} answered ${status}, and not as Waymark does`)
  }

  #notJson(path: string): CliError {
    const url = `${this.#base}/api/v1${path}`
    return new CliError(exitCodes.refused, `${url} answered something else than JSON: is that Waymark?`)
  }
}

const parse = (text: string): unknown => {
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
