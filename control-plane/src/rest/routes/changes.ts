import { stampRead, type RestApp, type RestContext } from '../context.ts'
import { ChangePage, ChangesQuery } from '../schemas/change.ts'
import { problems } from '../schemas/problem.ts'
import { changeSetView } from '../views.ts'

/** `/changes`: the log, page by page, straight from the database. */
export const changeRoutes = (app: RestApp, context: RestContext): void => {
  app.get(
    '/changes',
    {
      schema: {
        tags: ['log'],
        summary: 'The revision log after a revision, whole revisions at a time',
        querystring: ChangesQuery,
        response: {
          200: ChangePage,
          ...problems('invalid_request', 'compacted', 'database_unavailable'),
        },
      },
    },
    async (request, reply) => {
      const { after = 0, limit = 100 } = request.query
      const { sets, head } = await context.changes.readChanges({ after, limit })
      stampRead(reply, context)
      return { head, next: sets.at(-1)?.revision ?? after, sets: sets.map(changeSetView) }
    },
  )
}
