import { WaymarkError } from '../domain/errors.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { ReplicaReader } from './live-ports.ts'
import type { ReplicaReport } from './ports.ts'

/** On a request that a replica makes for its own caller: the one that gets it answers from what it has itself. */
export const forwardedHeader = 'x-waymark-forwarded'

const timeoutMs = 5_000
/** Of one answer that is read whole. */
const maxBytes = 64 * 1024 * 1024

export interface GatheredAnswers<T> {
  readonly answers: readonly T[]
  /** Replicas that run and could not be asked: what they know is missing. */
  readonly unreachable: readonly string[]
}

/** Asks the other replicas over their REST listeners for what only they know. */
export class ReplicaPeers {
  readonly #self: string
  readonly #replicas: ReplicaReader
  readonly #clock: Clock
  readonly #logger: Logger

  constructor(options: { self: string; replicas: ReplicaReader; clock: Clock; logger: Logger }) {
    this.#self = options.self
    this.#replicas = options.replicas
    this.#clock = options.clock
    this.#logger = options.logger
  }

  /**
   * What this replica answers to a GET of `path`. Rejects with `replica_unreachable`, or resolves with its answer,
   * whatever its status; `gone` ends the wait for it and for its body.
   */
  async ask(replica: string, path: string, gone: AbortSignal): Promise<Response> {
    const report = this.#replicas().find(({ id }) => id === replica)
    if (report === undefined) {
      throw new WaymarkError(
        'replica_unreachable',
        `replica ${replica} knows the answer, and is not known to run`,
      )
    }
    try {
      return await this.#fetch(report, path, gone)
    } catch (error) {
      this.#logger.warn(
        { replica, http: report.http, error: String(error) },
        'another replica did not answer',
      )
      throw new WaymarkError(
        'replica_unreachable',
        `replica ${replica} knows the answer, and did not answer at http://${report.http}; ask it for ${path}`,
        { cause: error },
      )
    }
  }

  /** The answers of all other replicas to a GET of `path`; one that answers 404 knows nothing. */
  async askAll<T>(path: string, gone: AbortSignal): Promise<GatheredAnswers<T>> {
    const others = this.#replicas().filter(({ id }) => id !== this.#self)
    const answers: T[] = []
    const unreachable: string[] = []
    const one = async (report: ReplicaReport): Promise<void> => {
      try {
        const response = await this.#fetch(report, path, gone)
        const text = await readText(response)
        if (response.status === 404) return
        if (!response.ok) throw new Error(`status ${response.status}`)
        answers.push(JSON.parse(text) as T)
      } catch (error) {
        this.#logger.warn({ replica: report.id, http: report.http, error: String(error) }, 'did not answer')
        unreachable.push(report.id)
      }
    }
    await Promise.all(others.map(one))
    return { answers, unreachable: unreachable.toSorted() }
  }

  async #fetch({ http }: ReplicaReport, path: string, gone: AbortSignal): Promise<Response> {
    const slow = new AbortController()
    const timer = this.#clock.timer(timeoutMs, () => {
      slow.abort(new Error(`no answer within ${timeoutMs / 1_000} s`))
    })
    try {
      return await fetch(`http://${http}${path}`, {
        headers: { [forwardedHeader]: this.#self },
        signal: AbortSignal.any([gone, slow.signal]),
        redirect: 'error',
      })
    } finally {
      timer.cancel()
    }
  }
}

async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  const body: AsyncIterable<Uint8Array> | null = response.body
  if (body === null) return text
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > maxBytes) throw new Error(`more than ${maxBytes} bytes`)
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}
