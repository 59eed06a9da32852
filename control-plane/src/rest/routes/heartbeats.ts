import type { Static } from 'typebox'
import { WaymarkError, type ErrorCode } from '../../domain/errors.ts'
import type { RestApp, RestContext } from '../context.ts'
import type { Beat } from '../ports.ts'
import { toWaymarkError } from '../problem.ts'
import { InstanceParams, noBody } from '../schemas/common.ts'
import {
  HeartbeatBody,
  HeartbeatsAnswer,
  HeartbeatsBody,
  type HeartbeatsAnswerView,
} from '../schemas/instance.ts'
import { problems } from '../schemas/problem.ts'

type Ref = Static<typeof InstanceParams>

const toBeat = ({ service, id }: Ref, body: Static<typeof HeartbeatBody>, pointer = ''): Beat => {
  const { incarnation = null, status, output = '' } = body ?? {}
  if (status === undefined && output !== '') {
    throw new WaymarkError('invalid_request', 'an output needs a status', {
      fields: [
        {
          pointer: `${pointer}/status`,
          detail: 'is missing',
          accepted: '"passing", "warning" or "critical"',
        },
      ],
    })
  }
  return { service, id, incarnation, report: status === undefined ? null : { status, output } }
}

/** Beats: of one instance, in two spellings, and of many at once. */
export const heartbeatRoutes = (app: RestApp, context: RestContext): void => {
  const { heartbeats, limits } = context
  const errors: readonly ErrorCode[] = [
    'invalid_request',
    'instance_not_found',
    'incarnation_conflict',
    'database_unavailable',
    'overloaded',
  ]
  const one = (path: string, tag: string, summary: string): void => {
    app.put(
      path,
      {
        bodyLimit: limits.bodyBytes,
        schema: {
          tags: [tag],
          summary,
          params: InstanceParams,
          body: HeartbeatBody,
          response: { 204: noBody('the beat counts'), ...problems(...errors) },
        },
      },
      async (request, reply) => {
        await heartbeats.beat(toBeat(request.params, request.body))
        void reply.code(204)
      },
    )
  }
  one(
    '/services/:service/instances/:id/heartbeat',
    'instances',
    'Renew the lease; may carry what the instance says of itself',
  )
  one('/heartbeat/:service/:id', 'shorthand', 'Renew the lease of an instance')

  app.put(
    '/heartbeats',
    {
      bodyLimit: limits.heartbeatsBytes,
      schema: {
        tags: ['instances'],
        summary: 'Renew the leases of many instances, each as on its own',
        body: HeartbeatsBody,
        response: {
          200: HeartbeatsAnswer,
          ...problems('invalid_request', 'database_unavailable', 'overloaded'),
        },
      },
    },
    async (request): Promise<HeartbeatsAnswerView> => {
      const beats = request.body.beats.map((beat, index) => {
        const { service, id, ...body } = beat
        return toBeat({ service, id }, body, `/beats/${index}`)
      })
      const results = await Promise.allSettled(beats.map(beat => heartbeats.beat(beat)))
      const refused = results.flatMap((result, index) => {
        if (result.status === 'fulfilled') return []
        const error = toWaymarkError(result.reason)
        return [{ index, error }]
      })
      // Whoever gets 503 turns to another replica: that helps here only if no beat counts.
      const [first] = refused
      if (
        first !== undefined &&
        refused.length === beats.length &&
        refused.every(({ error }) => error.code === 'database_unavailable' || error.code === 'overloaded')
      )
        throw first.error
      return {
        accepted: beats.length - refused.length,
        refused: refused.map(({ index, error }) => ({ index, code: error.code, detail: error.message })),
      }
    },
  )
}
