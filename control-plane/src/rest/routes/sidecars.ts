import type { FastifyRequest } from 'fastify'
import { WaymarkError } from '../../domain/errors.ts'
import type { ResourceStatus } from '../../xds/status/status.ts'
import { forwardedHeader, type ReplicaPeers } from '../replica-peers.ts'
import { goneSignal, stampRead, type RestApp, type RestContext } from '../context.ts'
import { problems } from '../schemas/problem.ts'
import {
  NodeParams,
  NodePathParams,
  SidecarDetail,
  SidecarList,
  SidecarListQuery,
  SidecarQuery,
  type SidecarDetailView,
  type SidecarView,
} from '../schemas/sidecar.ts'
import {
  after,
  cursorOf,
  judgeSidecar,
  sidecarStates,
  worstFirst,
  type JudgedSidecar,
  type SidecarState,
} from '../sidecar-state.ts'

const time = (ms: number): string => new Date(ms).toISOString()

const sidecarView = ({ entry, state, since }: JudgedSidecar): SidecarView => {
  const { node, replica, status, seenAt, endedAt, rivals } = entry
  const { agent, address, connectedAt, heardAt, syncedRevision, answeredRevision, types, nacks } = status
  return {
    node,
    state,
    since: time(since),
    replica,
    agent,
    address,
    connectedAt: time(connectedAt),
    disconnectedAt: endedAt,
    heardAt: time(heardAt),
    seenAt,
    syncedRevision,
    answeredRevision,
    inSync: state === 'in-sync',
    types: types.map(({ unansweredSince, ...type }) => ({
      ...type,
      unansweredSince: unansweredSince === null ? null : time(unansweredSince),
    })),
    nacks: nacks.map(nack => ({ ...nack, names: [...nack.names], at: time(nack.at) })),
    duplicate: rivals.length > 0,
    rivals: rivals.map(rival => ({ ...rival, connectedAt: time(rival.connectedAt) })),
  }
}

const defaultLimit = 500

const resourceView = ({ nack, ...resource }: ResourceStatus) => ({
  ...resource,
  nack: nack === null ? null : { ...nack, at: time(nack.at) },
})

/** `/sidecars` and `/sidecars/{node}`: which sidecar has ACKed what, and what it refused. */
export const sidecarRoutes = (app: RestApp, context: RestContext, peers: ReplicaPeers): void => {
  const { mesh, sidecars, reads, clock } = context
  const tags = ['sidecars']
  const errors = ['invalid_request', 'not_ready', 'revision_not_reached', 'overloaded'] as const

  app.get(
    '/sidecars',
    {
      schema: {
        tags,
        summary: 'Every sidecar with what it has ACKed and refused, worst first',
        querystring: SidecarListQuery,
        response: { 200: SidecarList, ...problems(...errors) },
      },
    },
    async (request, reply) => {
      await reads.pass(request.query, 'mesh', reply.raw)
      const { service, replica, state, after: cursor, limit = defaultLimit } = request.query
      const { entries, missing } = await sidecars.list(service === undefined ? {} : { service })
      const now = clock.now()
      const judged = entries
        .filter(entry => replica === undefined || entry.replica === replica)
        .map(entry => judgeSidecar(entry, now))
      const states = Object.fromEntries(sidecarStates.map(each => [each, 0])) as Record<SidecarState, number>
      for (const one of judged) states[one.state] += 1
      const wanted = state?.split(',')
      const sorted = worstFirst(judged.filter(one => wanted?.includes(one.state) !== false))
      const rest = cursor === undefined ? sorted : after(sorted, cursor)
      const page = rest.slice(0, limit)
      const last = page.at(-1)
      stampRead(reply, context)
      return {
        revision: mesh.revision,
        at: time(now),
        states,
        missing: [...missing],
        next: last === undefined || page.length === rest.length ? null : cursorOf(last),
        sidecars: page.map(sidecarView),
      }
    },
  )

  /** What the replica that serves it says of it, as of now; undefined when it cannot be asked. */
  const ask = async (
    replica: string,
    node: string,
    gone: AbortSignal,
  ): Promise<SidecarDetailView | undefined> => {
    try {
      const response = await peers.ask(replica, `/api/v1/sidecars/${encodeURIComponent(node)}`, gone)
      // Replicas run the same program.
      return response.ok ? ((await response.json()) as SidecarDetailView) : undefined
    } catch {
      return undefined
    }
  }

  const detail = async (
    node: string,
    { headers }: FastifyRequest,
    gone: AbortSignal,
  ): Promise<SidecarDetailView> => {
    const found = await sidecars.get(node)
    if (found === undefined) throw new WaymarkError('sidecar_not_found', `no sidecar ${node} is known`)
    const judged = judgeSidecar(found.entry, clock.now())
    const view = {
      ...sidecarView(judged),
      revision: mesh.revision,
      at: time(clock.now()),
      resources: found.resources?.map(resourceView) ?? null,
    }
    const elsewhere = found.resources === null && judged.state !== 'disconnected' && judged.state !== 'stale'
    if (!elsewhere || headers[forwardedHeader] !== undefined) return view
    return (await ask(view.replica, node, gone)) ?? view
  }
  const schema = {
    tags,
    summary: 'One sidecar, resource by resource; another replica that serves it is asked',
    querystring: SidecarQuery,
    response: { 200: SidecarDetail, ...problems(...errors, 'sidecar_not_found', 'database_unavailable') },
  }

  app.get('/sidecars/:node', { schema: { ...schema, params: NodeParams } }, async (request, reply) => {
    const gone = goneSignal(reply)
    await reads.pass(request.query, 'mesh', reply.raw)
    return detail(request.params.node, request, gone)
  })

  // Node ids hold a slash: the plain path reads as well as the escaped one.
  app.get(
    '/sidecars/:service/:id',
    { schema: { ...schema, params: NodePathParams } },
    async (request, reply) => {
      const gone = goneSignal(reply)
      await reads.pass(request.query, 'mesh', reply.raw)
      return detail(`${request.params.service}/${request.params.id}`, request, gone)
    },
  )
}
