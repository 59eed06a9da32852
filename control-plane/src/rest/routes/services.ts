import { WaymarkError } from '../../domain/errors.ts'
import { goneSignal, stampRead, type RestApp, type RestContext } from '../context.ts'
import { ServiceParams } from '../schemas/common.ts'
import { ReadQuery, ServiceList, ServiceSummary } from '../schemas/instance.ts'
import { problems } from '../schemas/problem.ts'
import { serviceSummaryView } from '../views.ts'

/** `/services` and `/services/{service}`. */
export const serviceRoutes = (app: RestApp, context: RestContext): void => {
  const { mesh, reads } = context
  const tags = ['services']

  app.get(
    '/services',
    {
      schema: {
        tags,
        summary: 'Every service with its instances counted by verdict',
        querystring: ReadQuery,
        response: {
          200: ServiceList,
          ...problems('invalid_request', 'not_ready', 'revision_not_reached', 'overloaded'),
        },
      },
    },
    async (request, reply) => {
      await reads.pass(request.query, 'mesh', goneSignal(reply))
      stampRead(reply, context)
      return { revision: mesh.revision, services: mesh.services().map(serviceSummaryView) }
    },
  )

  app.get(
    '/services/:service',
    {
      schema: {
        tags,
        summary: 'One service with its instances counted by verdict',
        params: ServiceParams,
        querystring: ReadQuery,
        response: {
          200: ServiceSummary,
          ...problems(
            'invalid_request',
            'service_not_found',
            'not_ready',
            'revision_not_reached',
            'overloaded',
          ),
        },
      },
    },
    async (request, reply) => {
      const { service } = request.params
      await reads.pass(request.query, `service:${service}`, goneSignal(reply))
      stampRead(reply, context)
      const state = mesh.service(service)
      if (state === undefined) throw new WaymarkError('service_not_found', `there is no service ${service}`)
      return serviceSummaryView(state)
    },
  )
}
