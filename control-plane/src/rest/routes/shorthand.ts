import { Type } from 'typebox'
import type { RestApp, RestContext } from '../context.ts'
import { closed, InstanceId, InstanceParams, noBody, ServiceName } from '../schemas/common.ts'
import { DeregisterAnswer, DeregisterQuery, WrittenInstance } from '../schemas/instance.ts'
import { problems } from '../schemas/problem.ts'
import { registrationExample, registrationFields } from '../schemas/registration.ts'
import { AckedQuery } from '../schemas/revision-sidecars.ts'
import type { InstanceHandlers } from './instances.ts'

const RegisterBody = Type.Object(
  { service: ServiceName, id: InstanceId, ...registrationFields },
  {
    ...closed,
    examples: [{ service: 'payments', id: 'payments-1', ...registrationExample }],
    description:
      'a registration with service and id: an object of which service, id, address and port are required',
  },
)

/**
 * Three of the four verbs for those who want no more; the fourth, `/discover`, is with the reads. The handlers are those
 * of `/services/{service}/instances`.
 */
export const shorthandRoutes = (app: RestApp, { limits }: RestContext, handlers: InstanceHandlers): void => {
  const tags = ['shorthand']
  const bodyLimit = limits.bodyBytes
  const writeErrors = problems('invalid_request', 'database_unavailable', 'overloaded')
  const instanceErrors = problems(
    'invalid_request',
    'instance_not_found',
    'incarnation_conflict',
    'database_unavailable',
    'overloaded',
  )

  app.post(
    '/register',
    {
      bodyLimit,
      schema: {
        tags,
        summary: 'Register the instance that the body names',
        querystring: AckedQuery,
        body: RegisterBody,
        response: { 200: WrittenInstance, 201: WrittenInstance, ...writeErrors },
      },
    },
    (request, reply) => {
      const { service, id, ...registration } = request.body
      return handlers.register({ service, id }, registration, request.query, request, reply)
    },
  )

  app.delete(
    '/deregister/:service/:id',
    {
      schema: {
        tags,
        summary: 'Deregister an instance, with a drain first if asked',
        params: InstanceParams,
        querystring: DeregisterQuery,
        response: { 200: DeregisterAnswer, 204: noBody('the instance is gone'), ...instanceErrors },
      },
    },
    (request, reply) => handlers.deregister(request.params, request.query, request, reply),
  )
}
