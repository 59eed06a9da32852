import { parseDuration } from '@waymark/sidecar-config/model/duration.ts'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { WaymarkError, type ErrorCode } from '../../domain/errors.ts'
import { ackedWrite, removed, type AckedQuery as AckedQueryValues } from '../acked-write.ts'
import { stampWrite, type RestApp, type RestContext } from '../context.ts'
import { overrideEnd } from '../override-end.ts'
import { toInstanceSpec } from '../instance-spec.ts'
import { InstanceParams, noBody } from '../schemas/common.ts'
import {
  DeregisterAnswer,
  DeregisterQuery,
  OverrideBody,
  WrittenInstance,
  type WrittenInstanceView,
} from '../schemas/instance.ts'
import { problems } from '../schemas/problem.ts'
import { AckedQuery, type RevisionSidecarsView } from '../schemas/revision-sidecars.ts'
import { RegistrationBody } from '../schemas/registration.ts'
import { instanceView } from '../views.ts'
import { writeContext } from '../write-context.ts'

type Ref = Static<typeof InstanceParams>

const writeErrors: readonly ErrorCode[] = ['invalid_request', 'database_unavailable', 'overloaded']
const drainMax = 24 * 3_600_000

/** The use cases behind the routes; the shorthand has the same. */
export const instanceHandlers = (context: RestContext) => {
  const { registry } = context

  const register = async (
    { service, id }: Ref,
    body: RegistrationBody,
    query: AckedQueryValues,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<WrittenInstanceView> => {
    const parsed = toInstanceSpec(body)
    if (!parsed.ok) {
      throw new WaymarkError('invalid_request', 'the registration says something impossible', {
        fields: parsed.errors,
      })
    }
    const { spec } = parsed
    const { committed, acked } = await ackedWrite(
      { context, query, reply, unchanged: ({ instance: { revision } }) => revision },
      () => registry.register({ service, id, spec }, writeContext(request)),
    )
    const { instance, created } = stampWrite(reply, committed)
    void reply.code(created ? 201 : 200)
    return { ...instanceView(instance), ...acked }
  }

  const deregister = async (
    { service, id }: Ref,
    query: Static<typeof DeregisterQuery>,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<WrittenInstanceView | { readonly sidecars: RevisionSidecarsView } | null> => {
    const drainMs = query.drain === undefined ? 0 : parseDuration(query.drain)
    if (drainMs === undefined || drainMs > drainMax) {
      throw new WaymarkError('invalid_request', '?drain is out of range', {
        fields: [{ pointer: '?drain', detail: 'is out of range', accepted: 'a duration from 0s to 24h' }],
      })
    }
    const { committed, acked } = await ackedWrite(
      { context, query, reply, unchanged: result => result?.revision ?? 0 },
      () =>
        registry.deregister(
          { service, id, incarnation: query.incarnation ?? null, drainMs: drainMs === 0 ? null : drainMs },
          writeContext(request),
        ),
    )
    const draining = stampWrite(reply, committed)
    return draining === null ? removed(acked, reply) : { ...instanceView(draining), ...acked }
  }

  return { register, deregister }
}

export type InstanceHandlers = ReturnType<typeof instanceHandlers>

/** What changes instances: below `/services/{service}/instances`. */
export const instanceRoutes = (app: RestApp, context: RestContext, handlers: InstanceHandlers): void => {
  const { registry, limits } = context
  const tags = ['instances']
  const path = '/services/:service/instances/:id'
  const bodyLimit = limits.bodyBytes

  app.put(
    path,
    {
      bodyLimit,
      schema: {
        tags,
        summary: 'Register an instance; an equal registration changes nothing but the incarnation',
        params: InstanceParams,
        querystring: AckedQuery,
        body: RegistrationBody,
        response: { 200: WrittenInstance, 201: WrittenInstance, ...problems(...writeErrors) },
      },
    },
    (request, reply) => handlers.register(request.params, request.body, request.query, request, reply),
  )

  app.delete(
    path,
    {
      schema: {
        tags,
        summary: 'Deregister an instance, with a drain first if asked',
        params: InstanceParams,
        querystring: DeregisterQuery,
        response: {
          200: DeregisterAnswer,
          204: noBody('the instance is gone'),
          ...problems(...writeErrors, 'instance_not_found', 'incarnation_conflict'),
        },
      },
    },
    (request, reply) => handlers.deregister(request.params, request.query, request, reply),
  )

  app.put(
    `${path}/override`,
    {
      bodyLimit,
      schema: {
        tags,
        summary: 'Set maintenance or draining over all evidence, or take it back',
        params: InstanceParams,
        querystring: AckedQuery,
        body: OverrideBody,
        response: { 200: WrittenInstance, ...problems(...writeErrors, 'instance_not_found') },
      },
    },
    async (request, reply): Promise<WrittenInstanceView> => {
      const { params, query, body } = request
      const { status, reason = '' } = body
      const override = status === 'none' ? null : { status, reason, ends: overrideEnd(body) }
      const { committed, acked } = await ackedWrite(
        { context, query, reply, unchanged: ({ revision }) => revision },
        () => registry.override({ ...params, override }, writeContext(request)),
      )
      return { ...instanceView(stampWrite(reply, committed)), ...acked }
    },
  )
}
