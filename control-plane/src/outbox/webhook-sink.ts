import { createHash } from 'node:crypto'
import type { SecureContextOptions } from 'node:tls'
import type { Clock } from '../runtime/clock.ts'
import type { EncodedEvent } from './cloud-event.ts'
import type { AllowsAddress } from './guarded-address.ts'
import { HttpPoster, type HttpAnswer } from './http-post.ts'
import { sinkLimits } from './sink-limits.ts'
import { DeliveryError, toDeliveryError, type FailureKind, type Sink } from './sink.ts'
import { signWebhook } from './webhook-signature.ts'

export interface WebhookSinkOptions {
  readonly name: string
  /** http or https. */
  readonly url: URL
  /** What must not be connected to; absent: nothing, the operator has chosen the URL. */
  readonly allowsAddress?: AllowsAddress
  /** Roots and a client certificate; absent: the well-known roots, and none. */
  readonly tls?: SecureContextOptions
  /** At least one; the first is the current one. */
  readonly keys: readonly Buffer[]
  /** One request for many events (CloudEvents batched mode) instead of one each (structured mode). */
  readonly batch: boolean
  readonly timeoutMs: number
  readonly clock: Clock
}

interface Message {
  readonly id: string
  readonly body: string
  readonly contentType: string
}

/** These speak of the receiver or of our access to it, whatever the event says. */
const aboutTheReceiver = new Set([401, 402, 403, 404, 405, 407, 408, 415, 421, 425, 426, 429])

/** null: success. Standard Webhooks, "Delivery success and failure": only 2xx is one. */
export const failureOfStatus = (status: number): FailureKind | null => {
  if (status >= 200 && status < 300) return null
  if (status === 410) return 'gone'
  return status >= 400 && status < 500 && !aboutTheReceiver.has(status) ? 'poison' : 'retryable'
}

const single = ({ event, json }: EncodedEvent): Message => ({
  id: event.id,
  body: json,
  contentType: 'application/cloudevents+json; charset=utf-8',
})

/** The id depends on the ids of the events only: the same batch has the same id at every attempt. */
const batched = (events: readonly EncodedEvent[]): Message => ({
  id: `batch_${createHash('sha256')
    .update(events.map(({ event }) => event.id).join('\n'))
    .digest('hex')
    .slice(0, 32)}`,
  body: `[${events.map(({ json }) => json).join(',')}]`,
  contentType: 'application/cloudevents-batch+json; charset=utf-8',
})

/** Posts events as CloudEvents over HTTP, signed as Standard Webhooks says. */
export class WebhookSink implements Sink {
  readonly name: string
  readonly kind = 'webhook'
  readonly maxBatch = sinkLimits.webhook.maxBatch
  readonly maxBatchBytes = sinkLimits.webhook.maxBatchBytes
  readonly #options: WebhookSinkOptions
  #poster: HttpPoster

  constructor(options: WebhookSinkOptions) {
    if (options.keys.length === 0) throw new Error(`the webhook ${options.name} has no key to sign with`)
    this.name = options.name
    this.#options = options
    this.#poster = this.#connect()
  }

  async deliver(events: readonly EncodedEvent[], signal: AbortSignal): Promise<void> {
    if (this.#options.batch) {
      if (events.length > 0) await this.#send(batched(events), signal)
      return
    }
    for (const [delivered, event] of events.entries()) {
      try {
        await this.#send(single(event), signal)
      } catch (error) {
        const { message, kind, retryAfterMs } = toDeliveryError(error)
        throw new DeliveryError(message, { kind, retryAfterMs, delivered, cause: error })
      }
    }
  }

  close(): Promise<void> {
    this.#poster.close()
    this.#poster = this.#connect()
    return Promise.resolve()
  }

  #connect(): HttpPoster {
    const { url, timeoutMs, clock, allowsAddress = null, tls = null } = this.#options
    return new HttpPoster({ url, timeoutMs, clock, allowsAddress, tls })
  }

  async #send({ id, body, contentType }: Message, signal: AbortSignal): Promise<void> {
    const { keys, clock } = this.#options
    const timestamp = Math.floor(clock.now() / 1_000)
    const headers = {
      ...signWebhook({ id, timestamp, body }, keys),
      'content-type': contentType,
      'user-agent': 'waymark-webhook/1',
    }
    signal.throwIfAborted()
    const answer = await this.#poster.post({ headers, body, signal })
    const kind = failureOfStatus(answer.status)
    if (kind !== null) throw refusal(answer, kind)
  }
}

const refusal = ({ status, excerpt, retryAfterMs }: HttpAnswer, kind: FailureKind): DeliveryError => {
  const words = excerpt === '' ? '' : `: ${excerpt}`
  return new DeliveryError(`the receiver answered ${status}${words}`, { kind, retryAfterMs })
}
