import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../runtime/clock.ts'
import { parseRetryAfter } from './http-post.ts'
import { describeSink, encodedEvents, type SinkUnderTest } from './sink-contract.ts'
import { toDeliveryError, type DeliveryError } from './sink.ts'
import { parseWebhookSecret } from './webhook-signature.ts'
import { failureOfStatus, WebhookSink, type WebhookSinkOptions } from './webhook-sink.ts'

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const key = parseWebhookSecret(secret) ?? Buffer.alloc(0)

interface Received {
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** A receiver that verifies every signature and answers as told. */
class Receiver {
  readonly requests: Received[] = []
  answer = (_request: Received, response: ServerResponse): void => {
    response.writeHead(204).end()
  }
  readonly #server: Server
  #port = 0

  constructor() {
    this.#server = createServer((request, response) => {
      let body = ''
      request.setEncoding('utf8')
      request.on('data', (chunk: string) => (body += chunk))
      request.on('end', () => {
        new Webhook(secret).verify(body, request.headers as Record<string, string>)
        const received = { headers: request.headers, body }
        this.requests.push(received)
        this.answer(received, response)
      })
    })
  }

  async listen(): Promise<void> {
    await new Promise<void>(resolve => this.#server.listen(this.#port, '127.0.0.1', resolve))
    this.#port = (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise(resolve => this.#server.close(resolve))
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${this.#port}/hook?token=t0ken`)
  }

  sink(options: Partial<WebhookSinkOptions> = {}): WebhookSink {
    const common = { name: 'hook', url: this.url, keys: [key], batch: false, timeoutMs: 5_000 }
    return new WebhookSink({ ...common, clock: systemClock, ...options })
  }

  ids(): string[] {
    return this.requests.flatMap(({ body }) => {
      const parsed = JSON.parse(body) as { id: string } | { id: string }[]
      return (Array.isArray(parsed) ? parsed : [parsed]).map(({ id }) => id)
    })
  }
}

const create = (batch: boolean) => async (): Promise<SinkUnderTest> => {
  const receiver = new Receiver()
  await receiver.listen()
  return {
    sink: receiver.sink({ batch }),
    received: () => Promise.resolve(receiver.ids()),
    breakDown: () => receiver.close(),
    repair: () => receiver.listen(),
    destroy: () => receiver.close(),
  }
}

describeSink('a webhook with single events', create(false))
describeSink('a webhook with batches', create(true))

describe('the webhook sink', () => {
  const signal = new AbortController().signal
  let receiver: Receiver

  beforeEach(async () => {
    receiver = new Receiver()
    await receiver.listen()
  })
  afterEach(() => receiver.close())

  const failure = async (sink: WebhookSink, count = 1): Promise<DeliveryError> => {
    const reason: unknown = await sink
      .deliver(encodedEvents(1, count), signal)
      .catch((error: unknown) => error)
    expect(reason).toBeInstanceOf(Error)
    return toDeliveryError(reason)
  }

  it('posts one structured event a request, with the id of the change as the id of the message', async () => {
    const [event] = encodedEvents(1, 1)
    await receiver.sink().deliver(encodedEvents(1, 1), signal)
    expect(receiver.requests).toMatchObject([
      {
        body: event?.json,
        headers: {
          'content-type': 'application/cloudevents+json; charset=utf-8',
          'webhook-id': event?.event.id,
        },
      },
    ])
  })

  it('posts a batch as one request, whose id is the same at every attempt', async () => {
    const sink = receiver.sink({ batch: true })
    await sink.deliver(encodedEvents(1, 3), signal)
    await sink.deliver(encodedEvents(1, 3), signal)
    await sink.deliver(encodedEvents(1, 4), signal)
    const [first, again, other] = receiver.requests.map(({ headers }) => headers['webhook-id'])
    expect(first).toMatch(/^batch_[0-9a-f]{32}$/)
    expect(again).toBe(first)
    expect(other).not.toBe(first)
    expect(receiver.requests[0]?.headers['content-type']).toBe(
      'application/cloudevents-batch+json; charset=utf-8',
    )
  })

  it('says how many events the receiver has when one fails', async () => {
    receiver.answer = (_, response) => {
      response.writeHead(receiver.requests.length === 3 ? 422 : 200).end('no such team')
    }
    expect(await failure(receiver.sink(), 5)).toMatchObject({
      kind: 'poison',
      delivered: 2,
      message: 'the receiver answered 422: no such team',
    })
  })

  it('sorts the answers', () => {
    const kinds = (...statuses: number[]) => new Set(statuses.map(failureOfStatus))
    expect(kinds(200, 201, 202, 204, 299)).toEqual(new Set([null]))
    expect(kinds(301, 302, 307, 401, 403, 404, 408, 415, 425, 429, 500, 502, 503, 504)).toEqual(
      new Set(['retryable']),
    )
    expect(kinds(400, 409, 413, 418, 422)).toEqual(new Set(['poison']))
    expect(kinds(410)).toEqual(new Set(['gone']))
  })

  it('takes an answer in another protocol for none', async () => {
    receiver.answer = (_, response) => {
      response.socket?.end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n')
    }
    expect(await failure(receiver.sink())).toMatchObject({
      kind: 'retryable',
      message: 'no answer: the connection was closed',
    })
  })

  it('hears what the receiver wishes', async () => {
    receiver.answer = (_, response) => {
      response.writeHead(429, { 'retry-after': '17' }).end()
    }
    expect(await failure(receiver.sink())).toMatchObject({ kind: 'retryable', retryAfterMs: 17_000 })
    const now = Date.parse('2026-01-01T00:00:00Z')
    expect(parseRetryAfter('Thu, 01 Jan 2026 00:01:00 GMT', now)).toBe(60_000)
    expect(parseRetryAfter('Thu, 01 Jan 2025 00:01:00 GMT', now)).toBe(0)
    expect(parseRetryAfter('soon', now)).toBeNull()
    expect(parseRetryAfter(null, now)).toBeNull()
  })

  it('follows no redirect', async () => {
    receiver.answer = (_, response) => {
      response.writeHead(307, { location: receiver.url.href }).end()
    }
    expect(await failure(receiver.sink())).toMatchObject({ kind: 'retryable' })
    expect(receiver.requests).toHaveLength(1)
  })

  it('gives up on a receiver that does not answer, and on one whose refusal does not end', async () => {
    receiver.answer = () => undefined
    expect((await failure(receiver.sink({ timeoutMs: 60 }))).message).toBe('no answer within 60 ms')
    receiver.answer = (_, response) => {
      response.writeHead(400).write('...')
    }
    expect((await failure(receiver.sink({ timeoutMs: 60 }))).kind).toBe('retryable')
  })

  it('takes a success for one whatever becomes of its body', async () => {
    const bodies = [
      // One byte now and then, for ever.
      (response: ServerResponse) => response.write('.'),
      (response: ServerResponse) => response.write('.', () => response.destroy()),
      (response: ServerResponse) => response.end('x'.repeat(10_000_000)),
    ]
    receiver.answer = (_, response) => {
      const body = bodies[(receiver.requests.length - 1) % bodies.length]
      response.writeHead(200)
      body?.(response)
    }
    await receiver.sink({ timeoutMs: 5_000 }).deliver(encodedEvents(1, 6), signal)
    expect(receiver.ids()).toEqual(encodedEvents(1, 6).map(({ event }) => event.id))
  })

  it('reads no more than the beginning of an answer, and shows it on one line', async () => {
    const closed = new Promise<void>(resolve => {
      receiver.answer = (_, response) => {
        response.on('close', resolve)
        response.writeHead(400)
        const more = (): void => {
          if (!response.destroyed) response.write('bad\n\u0000thing '.repeat(500), more)
        }
        more()
      }
    })
    const { message } = await failure(receiver.sink())
    await closed
    expect(message).toMatch(/^the receiver answered 400: bad thing bad/)
    expect(message.length).toBeLessThan(260)
  })

  it('does not show the URL, which may hold a token', async () => {
    const sink = receiver.sink()
    await receiver.close()
    const { message } = await failure(sink)
    expect(message).toBe('no answer: ECONNREFUSED')
    await receiver.listen()
  })

  it('connects to no address that is denied, written as it is or behind a name', async () => {
    const named = new URL(receiver.url)
    named.hostname = 'localhost'
    const judged: string[] = []
    const allowsAddress = (address: string): boolean => {
      judged.push(address)
      return false
    }
    for (const url of [receiver.url, named]) {
      const { message, kind } = await failure(receiver.sink({ url, allowsAddress }))
      expect(message).toBe('no answer: its address is one that sinks must not reach')
      expect(kind).toBe('retryable')
    }
    expect(judged).toContain('127.0.0.1')
    expect(receiver.requests).toEqual([])
    const only = receiver.sink({ url: named, allowsAddress: address => address === '127.0.0.1' })
    await only.deliver(encodedEvents(1, 1), new AbortController().signal)
    expect(receiver.requests).toHaveLength(1)
  })
})
