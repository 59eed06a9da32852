import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyReply, FastifySchemaCompiler } from 'fastify'
import { WaymarkError } from '../../domain/errors.ts'
import type { WriteContext } from '../../registry/registry.ts'
import type { Clock } from '../../runtime/clock.ts'
import { LineWriter, problemResult } from '../batch/line-writer.ts'
import { ndjsonLines, NdjsonTooLongError, type NdjsonLimits } from '../batch/ndjson-lines.ts'
import { OrderedWindow } from '../batch/ordered-window.ts'
import type { RestApp, RestContext } from '../context.ts'
import { BatchLine, BatchQuery, BatchResult, type BatchResultView } from '../schemas/batch.ts'
import { problems } from '../schemas/problem.ts'
import { createValidatorCompiler } from '../validation.ts'
import { writeContext } from '../write-context.ts'

const ndjson = 'application/x-ndjson'

export interface BatchLimits extends NdjsonLimits {
  /** While so many lines of one request are under way, or their results have not been read, no more are read. */
  readonly window: number
  /** Lines that are checked in one turn and written together. */
  readonly group: number
  /** Requests at the same time. */
  readonly requests: number
}

const defaultBatchLimits: BatchLimits = {
  lineBytes: 65_536,
  bytes: 16 * 1_024 * 1_024,
  lines: 10_000,
  window: 1_024,
  group: 128,
  requests: 4,
}

/** A body that is read with pauses; throws when its sender lets it wait. */
async function* arriving(body: IncomingMessage, clock: Clock, ms: number): AsyncGenerator<Buffer> {
  const chunks = (body as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
  for (;;) {
    const late = Promise.withResolvers<never>()
    const timer = clock.timer(ms, () => {
      late.reject(new LateError())
    })
    const next = await Promise.race([chunks.next(), late.promise]).finally(() => {
      timer.cancel()
    })
    if (next.done === true) return
    yield next.value
  }
}

class LateError extends Error {
  override readonly name = 'LateError'
}

/** Lines are checked one by one, where a schema of the whole body has nothing to say. */
const exceptBody =
  (compile: FastifySchemaCompiler<object>): FastifySchemaCompiler<object> =>
  route =>
    route.httpPart === 'body' ? (value: unknown) => ({ value }) : compile(route)

/** null: it is not the request's fault. */
const refusalOf = (error: unknown): WaymarkError | null => {
  if (error instanceof NdjsonTooLongError)
    return new WaymarkError('body_too_large', `${error.message}: send the rest in another request`)
  if (error instanceof LateError)
    return new WaymarkError(
      'request_timeout',
      'the next lines did not arrive in time: send them in another request',
    )
  return null
}

/** `POST /instances:batch`: registrations and deregistrations, one a line, each a write of its own. */
export const batchRoutes = (app: RestApp, context: RestContext, limits = defaultBatchLimits): void => {
  const compile: FastifySchemaCompiler<object> = app.validatorCompiler ?? createValidatorCompiler()
  // Compiling its schemas takes as long as that of many routes: not before somebody needs it.
  let writer: LineWriter | undefined
  let running = 0

  /** Reads, writes and answers at once: a reader that is slow slows down its own reading only. */
  async function* results(
    body: AsyncIterable<Buffer>,
    { write, id: request, giveUp }: { write: WriteContext; id: string; giveUp: () => void },
  ): AsyncGenerator<string> {
    const { registry, clock } = context
    const lineWriter = (writer ??= new LineWriter({ registry, compile }))
    const window = new OrderedWindow<readonly BatchResultView[]>(limits.window)
    let next = 1
    const reading = async (): Promise<void> => {
      try {
        for await (const lines of ndjsonLines(body, limits)) {
          next = (lines.at(-1)?.number ?? 0) + 1
          for (let from = 0; from < lines.length; from += limits.group) {
            if (window.abandoned) return
            const group = lines.slice(from, from + limits.group)
            await window.add(lineWriter.write(group, write, request), group.length)
          }
        }
      } catch (error) {
        const refusal = refusalOf(error)
        // The client has gone, and nobody reads results.
        if (refusal === null) return
        const line = error instanceof NdjsonTooLongError ? error.line : next
        await window.add(Promise.resolve([problemResult(line, refusal, request)]))
      } finally {
        window.end()
      }
    }
    try {
      void reading()
      for (let ready = await window.take(); ready !== null; ready = await window.take()) {
        const unread = clock.timer(context.limits.watchStallMs, giveUp)
        try {
          yield ready.map(group => group.map(result => `${JSON.stringify(result)}\n`).join('')).join('')
        } finally {
          unread.cancel()
        }
      }
    } finally {
      window.abandon()
    }
  }

  // The stream itself: what the routes of this scope make of it is theirs.
  app.addContentTypeParser(ndjson, (_request, _payload, done) => {
    done(null)
  })
  app.post(
    '/instances::batch',
    {
      validatorCompiler: exceptBody(compile),
      schema: {
        tags: ['instances'],
        summary:
          'Register and deregister many instances: one line of JSON each in, one result each out, in order',
        querystring: BatchQuery,
        body: { content: { [ndjson]: { schema: BatchLine } } },
        response: {
          200: {
            description: 'a BatchResult for each line, in order',
            content: { [ndjson]: { schema: BatchResult } },
          },
          ...problems('invalid_request', 'overloaded'),
        },
      },
    },
    (request, reply) => {
      if (running >= limits.requests) {
        throw new WaymarkError('overloaded', `${running} batches are being written`, { retryAfterMs: 1_000 })
      }
      const { clock, unhurried } = context
      const { requestTimeoutMs } = context.limits
      const { socket } = request.raw
      const giveUp = (): void => {
        socket.destroy()
      }
      const body = arriving(request.raw, clock, requestTimeoutMs)
      const stream = Readable.from(results(body, { write: writeContext(request), id: request.id, giveUp }), {
        objectMode: false,
      })
      running += 1
      unhurried.add(socket)
      stream.once('close', () => {
        running -= 1
        if (request.raw.complete) {
          unhurried.delete(socket)
          return
        }
        // What is left of the request is waited for no longer than of any other.
        const timer = clock.timer(requestTimeoutMs, () => {
          if (!request.raw.complete) giveUp()
        })
        socket.once('close', () => {
          timer.cancel()
        })
      })
      void (reply as FastifyReply).type(ndjson).send(stream)
    },
  )
}
