import { Agent, request } from 'node:http'
import { text } from 'node:stream/consumers'

export interface Answer {
  readonly status: number
  readonly revision: number | null
  readonly body: unknown
}

export interface Question {
  readonly method: string
  /** Below `/api/v1`. */
  readonly path: string
  readonly body?: unknown
  /** `X-Waymark-Actor` */
  readonly actor: string
  /** After this it hangs up, whether or not it was heard (ms). */
  readonly patienceMs: number
}

/** One client of the REST interface that hangs up when it pleases, and then knows nothing. */
export class TortureClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })

  /** null: there was no whole answer. */
  async ask(url: string, { method, path, body, actor, patienceMs }: Question): Promise<Answer | null> {
    const content = body === undefined ? undefined : JSON.stringify(body)
    const headers = {
      'x-waymark-actor': actor,
      ...(content === undefined ? {} : { 'content-type': 'application/json' }),
    }
    const signal = AbortSignal.timeout(patienceMs)
    try {
      return await new Promise<Answer>((resolve, reject) => {
        const call = request(
          `${url}/api/v1${path}`,
          { method, headers, agent: this.#agent, signal },
          response => {
            text(response).then(all => {
              const revision = response.headers['x-waymark-revision']
              resolve({
                status: response.statusCode ?? 0,
                revision: revision === undefined ? null : Number(revision),
                body: all === '' ? null : (JSON.parse(all) as unknown),
              })
            }, reject)
          },
        )
        call.once('error', reject)
        call.end(content)
      })
    } catch {
      return null
    }
  }

  close(): void {
    this.#agent.destroy()
  }
}
