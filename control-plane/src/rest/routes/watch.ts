import { isServiceName } from '../../domain/service-name.ts'
import { WaymarkError } from '../../domain/errors.ts'
import { goneSignal, type RestApp, type RestContext } from '../context.ts'
import { problems } from '../schemas/problem.ts'
import { WatchHeaders, WatchQuery } from '../schemas/change.ts'
import { EventStream } from '../watch/event-stream.ts'
import type { WatchHub } from '../watch/watch-hub.ts'

const serviceFilter = (services: string | undefined): ReadonlySet<string> | null => {
  if (services === undefined) return null
  const names = services.split(',')
  const wrong = names.find(name => !isServiceName(name))
  if (wrong === undefined) return new Set(names)
  throw new WaymarkError('invalid_request', '?services holds what is no service name', {
    fields: [
      {
        pointer: '?services',
        detail: `"${wrong}" is no service name`,
        accepted: 'service names joined by commas',
      },
    ],
  })
}

/** `/watch`: server-sent events, one for each revision that matches, its id the revision. */
export const watchRoutes = (app: RestApp, context: RestContext, watches: WatchHub): void => {
  const { mesh, clock, logger, reads } = context
  app.get(
    '/watch',
    {
      // A HEAD would wait for ever.
      exposeHeadRoute: false,
      schema: {
        tags: ['log'],
        summary: 'Changes as they happen, as server-sent events; resumes by Last-Event-ID',
        querystring: WatchQuery,
        headers: WatchHeaders,
        response: {
          200: {
            description: 'events of type `change` (data: a ChangeSet) and, at most once, `compacted`',
            content: { 'text/event-stream': { schema: { type: 'string' } } },
          },
          ...problems(
            'invalid_request',
            'compacted',
            'overloaded',
            'not_ready',
            'revision_not_reached',
            'database_unavailable',
          ),
        },
      },
    },
    async (request, reply) => {
      const { query } = request
      const services = serviceFilter(query.services)
      const kinds = query.kinds === undefined ? null : new Set(query.kinds.split(','))
      if (!mesh.loaded) {
        throw new WaymarkError('not_ready', 'the first snapshot of the mesh is still being read')
      }
      const lastSeen = request.headers['last-event-id']
      const after = lastSeen === undefined ? (query.from ?? mesh.revision) : Number(lastSeen)
      const gone = goneSignal(reply)
      await reads.reachIndex({ index: after, waitMs: reads.waitMs(undefined), response: reply.raw })
      const watch = await watches.open({ filter: { services, kinds }, after })
      reply.hijack()
      const stream = new EventStream(reply.raw, { clock, revision: mesh.revision, after })
      await watch.run(stream, gone).catch((error: unknown) => {
        logger.error({ err: error }, 'a watch failed')
      })
    },
  )
}
