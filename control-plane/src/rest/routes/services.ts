import type { Static } from 'typebox'
import { WaymarkError } from '../../domain/errors.ts'
import type { RestApp, RestContext } from '../context.ts'
import { fieldPicker, pageOf } from '../read/page.ts'
import { questionName } from '../read/question-name.ts'
import type { Question } from '../read/state-reads.ts'
import { CachedHeaders, ServiceParams } from '../schemas/common.ts'
import { ListQuery, serviceFields, ServiceList, ServiceSummary, StateQuery } from '../schemas/instance.ts'
import { serviceSummaryView } from '../views.ts'
import { stateAnswers } from './instance-reads.ts'

const listQuestion = (query: Static<typeof ListQuery>): Question => {
  const { limit, fields } = query
  const pick = fieldPicker(fields, serviceFields)
  return {
    name: questionName('services', query),
    topic: 'services',
    scope: 'mesh',
    head: 'list',
    limit,
    view: (mesh, after) => {
      const { items, next } = pageOf(mesh.services(), ({ name }) => name, { limit, after })
      const services = items.map(serviceSummaryView)
      return {
        next,
        body:
          pick === undefined
            ? { services }
            : { fields: fields?.split(',') ?? [], services: services.map(pick) },
      }
    },
  }
}

const summaryQuestion = (service: string): Question => ({
  name: `service ${service}`,
  topic: `service:${service}`,
  scope: { service },
  head: 'none',
  view: mesh => {
    const state = mesh.service(service)
    if (state === undefined) throw new WaymarkError('service_not_found', `there is no service ${service}`)
    return { body: serviceSummaryView(state) }
  },
})

/** `/services` and `/services/{service}`. */
export const serviceRoutes = (app: RestApp, { states }: RestContext): void => {
  const tags = ['services']

  app.get(
    '/services',
    {
      schema: {
        tags,
        summary: 'Every service with its instances counted by verdict',
        querystring: ListQuery,
        headers: CachedHeaders,
        response: { 200: ServiceList, ...stateAnswers() },
      },
    },
    ({ query }, reply) => {
      states.send(listQuestion(query), query, reply)
    },
  )

  app.get(
    '/services/:service',
    {
      schema: {
        tags,
        summary: 'One service with its instances counted by verdict',
        params: ServiceParams,
        querystring: StateQuery,
        headers: CachedHeaders,
        response: { 200: ServiceSummary, ...stateAnswers('service_not_found') },
      },
    },
    ({ params, query }, reply) => {
      states.send(summaryQuestion(params.service), query, reply)
    },
  )
}
