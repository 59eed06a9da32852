import { WaymarkError } from '../../domain/errors.ts'
import type { ResourceStatus, StreamStatus } from '../../xds/status/status.ts'
import { goneSignal, stampRead, type RestApp, type RestContext } from '../context.ts'
import type { SidecarEntry } from '../ports.ts'
import { problems } from '../schemas/problem.ts'
import {
  NodeParams,
  NodePathParams,
  SidecarDetail,
  SidecarList,
  SidecarQuery,
  type SidecarDetailView,
  type SidecarView,
} from '../schemas/sidecar.ts'

const time = (ms: number): string => new Date(ms).toISOString()

const streamView = ({ agent, connectedAt, types, nacks, ...stream }: StreamStatus) => ({
  agent,
  connectedAt: time(connectedAt),
  syncedRevision: stream.syncedRevision,
  answeredRevision: stream.answeredRevision,
  inSync: stream.inSync,
  types: types.map(({ unansweredSince, ...type }) => ({
    ...type,
    unansweredSince: unansweredSince === null ? null : time(unansweredSince),
  })),
  nacks: nacks.map(nack => ({ ...nack, names: [...nack.names], at: time(nack.at) })),
})

const sidecarView = ({ node, replica, seenAt, status }: SidecarEntry): SidecarView => ({
  node,
  replica,
  seenAt,
  ...streamView(status),
})

const resourceView = ({ nack, ...resource }: ResourceStatus) => ({
  ...resource,
  nack: nack === null ? null : { ...nack, at: time(nack.at) },
})

/** `/sidecars` and `/sidecars/{node}`: which sidecar has ACKed what, and what it refused. */
export const sidecarRoutes = (app: RestApp, context: RestContext): void => {
  const { mesh, sidecars, reads, clock } = context
  const tags = ['sidecars']
  const errors = problems(
    'invalid_request',
    'not_ready',
    'revision_not_reached',
    'database_unavailable',
    'overloaded',
  )

  app.get(
    '/sidecars',
    {
      schema: {
        tags,
        summary: 'Every connected sidecar with what it has ACKed and refused',
        querystring: SidecarQuery,
        response: { 200: SidecarList, ...errors },
      },
    },
    async (request, reply) => {
      await reads.pass(request.query, 'mesh', goneSignal(reply))
      const entries = await sidecars.list()
      stampRead(reply, context)
      return { revision: mesh.revision, at: time(clock.now()), sidecars: entries.map(sidecarView) }
    },
  )

  const detail = async (node: string): Promise<SidecarDetailView> => {
    const found = await sidecars.get(node)
    if (found === undefined) throw new WaymarkError('sidecar_not_found', `no sidecar ${node} is known`)
    return {
      ...sidecarView(found.entry),
      revision: mesh.revision,
      at: time(clock.now()),
      resources: found.resources?.map(resourceView) ?? null,
    }
  }
  const schema = {
    tags,
    summary: 'One sidecar; resource by resource where this replica serves it',
    querystring: SidecarQuery,
    response: { 200: SidecarDetail, ...errors, ...problems('sidecar_not_found') },
  }

  app.get('/sidecars/:node', { schema: { ...schema, params: NodeParams } }, async (request, reply) => {
    await reads.pass(request.query, 'mesh', goneSignal(reply))
    return detail(request.params.node)
  })

  // Node ids hold a slash: the plain path reads as well as the escaped one.
  app.get(
    '/sidecars/:service/:id',
    { schema: { ...schema, params: NodePathParams } },
    async (request, reply) => {
      await reads.pass(request.query, 'mesh', goneSignal(reply))
      return detail(`${request.params.service}/${request.params.id}`)
    },
  )
}
