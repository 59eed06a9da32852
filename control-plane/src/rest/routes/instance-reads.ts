import type { Static } from 'typebox'
import { WaymarkError, type ErrorCode } from '../../domain/errors.ts'
import type { Instance } from '../../domain/instance.ts'
import type { MeshView } from '../../mesh/mesh-view.ts'
import { stampRead, type RestApp, type RestContext } from '../context.ts'
import { freshInstance } from '../fresh-instance.ts'
import { matchesFilters } from '../instance-filters.ts'
import { fieldPicker, pageOf } from '../read/page.ts'
import { questionName } from '../read/question-name.ts'
import type { Question } from '../read/state-reads.ts'
import { CachedHeaders, InstanceParams, noBody, ServiceParams } from '../schemas/common.ts'
import {
  InstanceDetail,
  instanceFields,
  InstanceFilters,
  InstanceList,
  StateQuery,
  type InstanceDetailView,
} from '../schemas/instance.ts'
import { problems } from '../schemas/problem.ts'
import { instanceView } from '../views.ts'

/** What a read of the state may be refused with, besides what it does not find. */
const stateErrors: readonly ErrorCode[] = [
  'invalid_request',
  'not_ready',
  'revision_not_reached',
  'overloaded',
  'compacted',
  'past_too_far',
  'database_unavailable',
]

/** What a read of the state with an ETag may get besides what it asked for: the codes of `more`, too. */
export const stateAnswers = (...more: readonly ErrorCode[]) => ({
  304: noBody('what If-None-Match names is still the answer'),
  ...problems(...stateErrors, ...more),
})

/** What a caller may send requests to: everything but what is known not to want or to take them. */
const usable = 'healthy,degraded,unknown'

const idOf = ({ id }: Instance): string => id

const listQuestion = (service: string, query: Static<typeof InstanceFilters>): Question => {
  const { limit, fields } = query
  const pick = fieldPicker(fields, instanceFields)
  return {
    name: questionName(`instances ${service}`, query),
    topic: `service:${service}`,
    scope: { service },
    head: 'list',
    limit,
    view: (mesh, after) => {
      const state = mesh.service(service)
      if (state === undefined) throw new WaymarkError('service_not_found', `there is no service ${service}`)
      const found = [...state.instances.values()]
        .filter(instance => matchesFilters(instance, query))
        .sort((a, b) => (a.id < b.id ? -1 : 1))
      const { items, next } = pageOf(found, idOf, { limit, after })
      const views = items.map(instanceView)
      return {
        next,
        body:
          pick === undefined
            ? { service, instances: views }
            : { service, fields: fields?.split(',') ?? [], instances: views.map(pick) },
      }
    },
  }
}

const detailQuestion = ({ service, id }: Static<typeof InstanceParams>): Question => ({
  name: `instance ${service}/${id}`,
  topic: `service:${service}`,
  scope: { service },
  head: 'none',
  view: mesh => ({ body: { ...instanceView(existing(mesh, { service, id })), freshness: 'log' } }),
})

const existing = (mesh: MeshView, { service, id }: Static<typeof InstanceParams>): Instance => {
  const instance = mesh.instance(service, id)
  if (instance !== undefined) return instance
  throw new WaymarkError('instance_not_found', `service ${service} has no instance ${id}`)
}

/** What is read of instances: `/services/{service}/instances` and below, and `/discover/{service}`. */
export const instanceReadRoutes = (app: RestApp, context: RestContext): void => {
  const { mesh, states } = context

  app.get(
    '/services/:service/instances/:id',
    {
      schema: {
        tags: ['instances'],
        summary: 'One instance with its verdict and all evidence',
        params: InstanceParams,
        querystring: StateQuery,
        response: { 200: InstanceDetail, ...problems(...stateErrors, 'instance_not_found') },
      },
    },
    ({ params, query }, reply) => {
      const present = (): Promise<InstanceDetailView> => {
        stampRead(reply, context)
        return freshInstance(existing(mesh, params), context)
      }
      states.send({ ...detailQuestion(params), present }, query, reply)
    },
  )

  app.get(
    '/services/:service/instances',
    {
      schema: {
        tags: ['instances'],
        summary: 'The instances of a service, filtered by verdict, zone, version and metadata',
        params: ServiceParams,
        querystring: InstanceFilters,
        headers: CachedHeaders,
        response: { 200: InstanceList, ...stateAnswers('service_not_found') },
      },
    },
    ({ params, query }, reply) => {
      states.send(listQuestion(params.service, query), query, reply)
    },
  )

  app.get(
    '/discover/:service',
    {
      schema: {
        tags: ['shorthand'],
        summary: `The instances that take requests: health=${usable}, unless another health is asked for`,
        params: ServiceParams,
        querystring: InstanceFilters,
        headers: CachedHeaders,
        response: { 200: InstanceList, ...stateAnswers('service_not_found') },
      },
    },
    ({ params, query }, reply) => {
      states.send(listQuestion(params.service, { health: usable, ...query }), query, reply)
    },
  )
}
