import { Readable } from 'node:stream'
import type { FastifyReply, FastifySchemaCompiler } from 'fastify'
import { WaymarkError } from '../../domain/errors.ts'
import type { WriteContext } from '../../registry/registry.ts'
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

/** Lines are checked one by one, where a schema of the whole body has nothing to say. */
const exceptBody =
  (compile: FastifySchemaCompiler<object>): FastifySchemaCompiler<object> =>
  route =>
    route.httpPart === 'body' ? (value: unknown) => ({ value }) : compile(route)

/** `POST /instances:batch`: registrations and deregistrations, one a line, each a write of its own. */
export const batchRoutes = (app: RestApp, context: RestContext, limits = defaultBatchLimits): void => {
  const compile: FastifySchemaCompiler<object> = app.validatorCompiler ?? createValidatorCompiler()
  // Compiling its schemas takes as long as that of many routes: not before somebody needs it.
  let writer: LineWriter | undefined
  let running = 0

  /** Reads, writes and answers at once: a reader that is slow slows down its own reading only. */
  async function* results(
    body: AsyncIterable<Buffer>,
    write: WriteContext,
    request: string,
  ): AsyncGenerator<string> {
    const { registry } = context
    const lineWriter = (writer ??= new LineWriter({ registry, compile }))
    const window = new OrderedWindow<readonly BatchResultView[]>(limits.window)
    const reading = async (): Promise<void> => {
      try {
        for await (const lines of ndjsonLines(body, limits)) {
          for (let from = 0; from < lines.length; from += limits.group) {
            if (window.abandoned) return
            const group = lines.slice(from, from + limits.group)
            await window.add(lineWriter.write(group, write, request), group.length)
          }
        }
      } catch (error) {
        // Else the client has gone, and nobody reads results.
        if (!(error instanceof NdjsonTooLongError)) return
        const refusal = new WaymarkError(
          'body_too_large',
          `${error.message}: send the rest in another request`,
        )
        await window.add(Promise.resolve([problemResult(error.line, refusal, request)]))
      } finally {
        window.end()
      }
    }
    try {
      void reading()
      for (let ready = await window.take(); ready !== null; ready = await window.take())
        yield ready.map(group => group.map(result => `${JSON.stringify(result)}\n`).join('')).join('')
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
      const stream = Readable.from(results(request.raw, writeContext(request), request.id), {
        objectMode: false,
      })
      running += 1
      stream.once('close', () => {
        running -= 1
      })
      void (reply as FastifyReply).type(ndjson).send(stream)
    },
  )
}
