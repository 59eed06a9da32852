import { ackWaitMs } from '../acked-write.ts'
import { goneSignal, stampRead, type RestApp, type RestContext } from '../context.ts'
import { revisionSidecarsView } from '../revision-sidecars.ts'
import { problems } from '../schemas/problem.ts'
import { AckedQuery, RevisionParams, RevisionSidecars } from '../schemas/revision-sidecars.ts'

/** How long the other replicas may take to say what they know already. */
const hearMs = 1_000

/** `/revisions/{revision}/sidecars`: what the sidecars that a revision touches have made of it. */
export const revisionRoutes = (app: RestApp, context: RestContext): void => {
  app.get(
    '/revisions/:revision/sidecars',
    {
      schema: {
        tags: ['sidecars'],
        summary: 'Whom a revision touches, and who of them has ACKed or refused it; of recent revisions',
        params: RevisionParams,
        querystring: AckedQuery,
        response: { 200: RevisionSidecars, ...problems('invalid_request', 'overloaded') },
      },
    },
    async (request, reply) => {
      const waitMs = ackWaitMs(request.query, context)
      const leave = context.acks.reserve()
      try {
        const answers = await context.acks.collect({
          revision: request.params.revision,
          timeoutMs: waitMs ?? hearMs,
          until: waitMs === null ? 'heard' : 'acked',
          gone: goneSignal(reply),
        })
        stampRead(reply, context)
        return revisionSidecarsView(answers)
      } finally {
        leave()
      }
    },
  )
}
