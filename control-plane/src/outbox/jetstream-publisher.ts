import { JetStreamApiError } from '@nats-io/jetstream'
import { createInbox, type MsgHdrs, type Msg, type NatsConnection } from '@nats-io/transport-node'

export interface JetStreamMessage {
  readonly subject: string
  readonly payload: Uint8Array | string
  readonly headers: MsgHdrs
}

/** What is under way: where its messages go, which are answered, and the first message that was refused. */
interface Wave {
  readonly first: number
  /** Of each message. */
  readonly subjects: readonly string[]
  readonly answered: Set<number>
  failure: { readonly index: number; readonly error: Error } | null
  readonly settle: () => void
  readonly fail: (error: Error) => void
}

/** How many of the messages the stream has for sure, from the first one on, and why not the next one. */
export interface WaveOutcome {
  readonly stored: number
  readonly error: Error | null
}

const noResponders = 503

/** There is no stream for the subject, or JetStream itself is not there now. */
export class NoStreamError extends Error {
  override readonly name = 'NoStreamError'
  readonly subject: string

  constructor(subject: string) {
    super(`no stream takes ${subject}`)
    this.subject = subject
  }
}

/**
 * Publishes many messages at a time and waits for the stream's answer to each, over one subscription. The library's
 * own `publish` makes a request of each, whose errors with their stacks, timers and promises cost more than twice as
 * much as all the rest of a message.
 */
export class JetStreamPublisher {
  readonly #connection: NatsConnection
  readonly #inbox: string
  #next = 0
  #wave: Wave | null = null
  #refusal: Error | null = null

  constructor(connection: NatsConnection, inboxPrefix: string) {
    this.#connection = connection
    this.#inbox = createInbox(inboxPrefix)
    connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.#answered(message)
      },
    })
    void this.#listen()
    void connection.closed().then(error => {
      this.#wave?.fail(error ?? new Error('the connection was closed'))
    })
  }

  /**
   * One call at a time. Resolves when every message has an answer; rejects when the connection is closed before, or
   * when the server has refused something that this connection needs.
   */
  publish(messages: readonly JetStreamMessage[]): Promise<WaveOutcome> {
    return new Promise((resolve, reject) => {
      const wave: Wave = {
        first: this.#next,
        subjects: messages.map(({ subject }) => subject),
        answered: new Set(),
        failure: null,
        settle: () => {
          this.#wave = null
          const { failure, subjects } = wave
          resolve({ stored: failure?.index ?? subjects.length, error: failure?.error ?? null })
        },
        fail: error => {
          this.#wave = null
          reject(error)
        },
      }
      if (this.#refusal !== null) {
        reject(this.#refusal)
        return
      }
      this.#wave = wave
      this.#next += messages.length
      try {
        for (const [index, { subject, payload, headers }] of messages.entries())
          this.#connection.publish(subject, payload, {
            headers,
            reply: `${this.#inbox}.${wave.first + index}`,
          })
      } catch (error) {
        wave.fail(error instanceof Error ? error : new Error(String(error)))
      }
    })
  }

  /** Without a right to publish, or to hear of it, no answer ever comes: the server says so of the connection. */
  async #listen(): Promise<void> {
    for await (const status of this.#connection.status())
      if (status.type === 'error') {
        this.#refusal = status.error
        this.#wave?.fail(status.error)
      }
  }

  #answered(message: Msg): void {
    const wave = this.#wave
    if (wave === null) return
    const index = Number(message.subject.slice(this.#inbox.length + 1)) - wave.first
    if (!(index >= 0 && index < wave.subjects.length)) return
    wave.answered.add(index)
    const error = errorOf(message, wave.subjects[index] ?? '')
    if (error !== null && (wave.failure === null || index < wave.failure.index))
      wave.failure = { index, error }
    if (wave.answered.size === wave.subjects.length) wave.settle()
  }
}

/** `subject`: what was published to. */
const errorOf = (message: Msg, subject: string): Error | null => {
  if (message.headers?.code === noResponders) return new NoStreamError(subject)
  try {
    const { error } = message.json<{ error?: ConstructorParameters<typeof JetStreamApiError>[0] }>()
    return error === undefined ? null : new JetStreamApiError(error)
  } catch {
    return new Error('what the server answered is no acknowledgement')
  }
}
