import { Agent, request } from 'node:http'
import { text } from 'node:stream/consumers'

export interface Answer {
  readonly status: number
  readonly revision: number | null
  /** Strong ones only, as documents have. */
  readonly etag: number | null
  readonly body: unknown
}

export interface Question {
  readonly method: string
  /** Below `/api/v1`. */
  readonly path: string
  readonly body?: unknown
  /** Instead of a body: newline-delimited JSON, as is its answer (`body`: a list). */
  readonly lines?: readonly unknown[]
  readonly headers?: Readonly<Record<string, string>>
  /** `X-Waymark-Actor` */
  readonly actor: string
  /** After this it hangs up, whether or not it was heard (ms). */
  readonly patienceMs: number
}

const ndjson = 'application/x-ndjson'

const contentOf = ({
  body,
  lines,
}: Question): readonly [type: string | null, content: string | undefined] => {
  if (lines !== undefined) return [ndjson, lines.map(line => `${JSON.stringify(line)}\n`).join('')]
  return body === undefined ? [null, undefined] : ['application/json', JSON.stringify(body)]
}

const bodyOf = (all: string, type: string | undefined): unknown => {
  if (all === '') return null
  if (type !== ndjson) return JSON.parse(all)
  return all
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as unknown)
}

const versionIn = (etag: string | undefined): number | null => {
  const [, version] = /^"([0-9]+)"$/.exec(etag ?? '') ?? []
  return version === undefined ? null : Number(version)
}

/** One client of the REST interface that hangs up when it pleases, and then knows nothing. */
export class TortureClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })

  /** null: there was no whole answer. */
  async ask(url: string, question: Question): Promise<Answer | null> {
    const { method, path, actor, patienceMs } = question
    const [type, content] = contentOf(question)
    const headers = {
      ...question.headers,
      'x-waymark-actor': actor,
      ...(type === null ? {} : { 'content-type': type }),
    }
    const signal = AbortSignal.timeout(patienceMs)
    try {
      return await new Promise<Answer>((resolve, reject) => {
        const call = request(
          `${url}/api/v1${path}`,
          { method, headers, agent: this.#agent, signal },
          response => {
            text(response)
              .then(all => {
                const revision = response.headers['x-waymark-revision']
                resolve({
                  status: response.statusCode ?? 0,
                  revision: revision === undefined ? null : Number(revision),
                  etag: versionIn(response.headers.etag),
                  body: bodyOf(all, response.headers['content-type']),
                })
              })
              .catch(reject)
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
