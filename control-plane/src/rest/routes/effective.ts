import { effectivePolicy } from '@waymark/sidecar-config/model/effective-policy.ts'
import type { TrafficPolicySpec } from '@waymark/sidecar-config/model/traffic-policy.ts'
import { goneSignal, stampRead, type RestApp, type RestContext } from '../context.ts'
import { EffectivePolicy, EffectiveQuery, type EffectivePolicyView } from '../schemas/effective.ts'
import { problems } from '../schemas/problem.ts'

/** `/documents/effective`: what finally holds for calls from one service to another, and why. */
export const effectiveRoutes = (app: RestApp, context: RestContext): void => {
  const { mesh, reads } = context
  app.get(
    '/documents/effective',
    {
      schema: {
        tags: ['documents'],
        summary: 'The merged traffic settings for calls to a service, with the source of every field',
        querystring: EffectiveQuery,
        response: {
          200: EffectivePolicy,
          ...problems('invalid_request', 'not_ready', 'revision_not_reached', 'overloaded'),
        },
      },
    },
    async (request, reply): Promise<EffectivePolicyView> => {
      const { caller = null, destination } = request.query
      await reads.pass(request.query, 'documents', goneSignal(reply))
      stampRead(reply, context)
      const documents = mesh.documents('TrafficPolicy').map(({ name, spec }) => ({
        name,
        // Documents were validated before they were written.
        spec: spec as TrafficPolicySpec,
      }))
      const { settings, sources } = effectivePolicy({ caller, destination, documents })
      return { revision: mesh.revision, caller, destination, settings, sources }
    },
  )
}
