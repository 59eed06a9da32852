import { effectivePolicy } from '@waymark/sidecar-config/model/effective-policy.ts'
import type { TrafficPolicySpec } from '@waymark/sidecar-config/model/traffic-policy.ts'
import type { Static } from 'typebox'
import type { RestApp, RestContext } from '../context.ts'
import { questionName } from '../read/question-name.ts'
import type { Question } from '../read/state-reads.ts'
import { CachedHeaders } from '../schemas/common.ts'
import { EffectivePolicy, EffectiveQuery, type EffectivePolicyView } from '../schemas/effective.ts'
import { stateAnswers } from './instance-reads.ts'

const effectiveQuestion = (query: Static<typeof EffectiveQuery>): Question => {
  const { caller = null, destination } = query
  return {
    name: questionName('effective', query),
    topic: 'documents',
    scope: 'documents',
    head: 'revision',
    view: mesh => {
      const documents = mesh.documents('TrafficPolicy').map(({ name, spec }) => ({
        name,
        // Documents were validated before they were written.
        spec: spec as TrafficPolicySpec,
      }))
      const { settings, sources } = effectivePolicy({ caller, destination, documents })
      const body: Omit<EffectivePolicyView, 'revision'> = { caller, destination, settings, sources }
      return { body }
    },
  }
}

/** `/documents/effective`: what finally holds for calls from one service to another, and why. */
export const effectiveRoutes = (app: RestApp, { states }: RestContext): void => {
  app.get(
    '/documents/effective',
    {
      schema: {
        tags: ['documents'],
        summary: 'The merged traffic settings for calls to a service, with the source of every field',
        querystring: EffectiveQuery,
        headers: CachedHeaders,
        response: { 200: EffectivePolicy, ...stateAnswers() },
      },
    },
    ({ query }, reply) => {
      states.send(effectiveQuestion(query), query, reply)
    },
  )
}
