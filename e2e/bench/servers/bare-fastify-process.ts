/** The floor of REST: a fastify with one route that answers with bytes that are ready. */
import fastify from 'fastify'
import { answerQuestions } from '../bench-process.ts'

const handlers = {
  /** Resolves with its URL. */
  serve: async ({ path, body }: { readonly path: string; readonly body: Uint8Array }): Promise<string> => {
    const bytes = Buffer.from(body)
    const app = fastify()
    app.get(path, (_request, reply) => reply.type('application/json; charset=utf-8').send(bytes))
    return app.listen({ host: '127.0.0.1', port: 0 })
  },
  /** A route that takes PUT without a body, and answers 204; resolves with its URL. */
  take: async ({ path }: { readonly path: string }): Promise<string> => {
    const app = fastify()
    app.put(path, (_request, reply) => reply.code(204).send())
    return app.listen({ host: '127.0.0.1', port: 0 })
  },
}

export type BareFastifyHandlers = typeof handlers

answerQuestions(handlers)
