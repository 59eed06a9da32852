import type { FastifyReply, FastifyRequest } from 'fastify'
import { WaymarkError } from '../../domain/errors.ts'
import { goneSignal, stampRead, type RestApp, type RestContext } from '../context.ts'
import { mergeInstances, reporterView, serviceLoad } from '../load-views.ts'
import { forwardedHeader, type GatheredAnswers, type ReplicaPeers } from '../replica-peers.ts'
import { ServiceParams } from '../schemas/common.ts'
import {
  LoadQuery,
  ServiceLoad,
  SidecarLoad,
  type ServiceLoadView,
  type SidecarLoadView,
} from '../schemas/load.ts'
import { problems } from '../schemas/problem.ts'
import { NodeParams, NodePathParams } from '../schemas/sidecar.ts'

const nobody: GatheredAnswers<never> = { answers: [], unreachable: [] }
const isForwarded = ({ headers }: FastifyRequest): boolean => headers[forwardedHeader] !== undefined

/**
 * `/sidecars/{node}/load` and `/services/{service}/load`: what sidecars report of their calls. A sidecar may report
 * to another replica than it gets its configuration from, so all replicas are asked.
 */
export const loadRoutes = (app: RestApp, context: RestContext, peers: ReplicaPeers): void => {
  const { mesh, loads, reads, clock, replicaId } = context
  const tags = ['sidecars']
  const errors = problems('invalid_request', 'not_ready', 'revision_not_reached', 'overloaded')
  const at = () => new Date(clock.now()).toISOString()
  const breathe = (): Promise<void> =>
    new Promise(resolve => {
      clock.soon(resolve)
    })
  const sidecarLoad = async (
    request: FastifyRequest,
    reply: FastifyReply,
    node: string,
  ): Promise<SidecarLoadView> => {
    await reads.pass({}, 'mesh', reply.raw)
    const { answers, unreachable } = await (isForwarded(request)
      ? nobody
      : peers.askAll<SidecarLoadView>(request.url, goneSignal(reply)))
    const own = loads.reporter(node)
    stampRead(reply, context)
    const replicas = [
      ...(own === undefined ? [] : [reporterView(mesh, own, replicaId)]),
      ...answers.flatMap(answer => answer.replicas),
    ]
    if (replicas.length === 0 && unreachable.length === 0) {
      throw new WaymarkError('sidecar_not_found', `no sidecar ${node} has reported load lately`)
    }
    return { node, at: at(), unreachable: [...unreachable], replicas }
  }
  const schema = {
    tags,
    summary: 'What a sidecar reports of its calls, by cluster and endpoint',
    querystring: LoadQuery,
    response: { 200: SidecarLoad, ...errors, ...problems('sidecar_not_found') },
  }
  app.get('/sidecars/:node/load', { schema: { ...schema, params: NodeParams } }, (request, reply) =>
    sidecarLoad(request, reply, request.params.node),
  )
  app.get(
    '/sidecars/:service/:id/load',
    { schema: { ...schema, params: NodePathParams } },
    (request, reply) => sidecarLoad(request, reply, `${request.params.service}/${request.params.id}`),
  )

  app.get(
    '/services/:service/load',
    {
      schema: {
        tags: ['services'],
        summary: 'What sidecars report of their calls to the instances of a service',
        params: ServiceParams,
        querystring: LoadQuery,
        response: { 200: ServiceLoad, ...errors, ...problems('service_not_found') },
      },
    },
    async (request, reply): Promise<ServiceLoadView> => {
      const { service } = request.params
      await reads.pass({}, 'mesh', reply.raw)
      if (mesh.service(service) === undefined) {
        throw new WaymarkError('service_not_found', `there is no service ${service}`)
      }
      const { answers, unreachable } = await (isForwarded(request)
        ? nobody
        : peers.askAll<ServiceLoadView>(request.url, goneSignal(reply)))
      const own = await serviceLoad({ mesh, loads, service, replica: replicaId, breathe })
      stampRead(reply, context)
      const instances = mergeInstances([own, ...answers.map(answer => answer.instances)])
      return { service, at: at(), unreachable: [...unreachable], instances }
    },
  )
}
