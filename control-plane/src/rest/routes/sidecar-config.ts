import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import { readableJson } from '@waymark/sidecar-config/envoy/readable-json.ts'
import type { FastifyReply } from 'fastify'
import { WaymarkError } from '../../domain/errors.ts'
import type { Revision } from '../../domain/revision.ts'
import type { MeshView } from '../../mesh/mesh-view.ts'
import { pastConfiguration, type PastResource } from '../../resources/past-configuration.ts'
import type { ClientView, HeldResource } from '../../xds/status/held-resources.ts'
import { goneSignal, revisionHeader, type RestApp, type RestContext } from '../context.ts'
import type { ReadQuery } from '../read-gate.ts'
import { forwardedHeader, type ReplicaPeers } from '../replica-peers.ts'
import { pastDoesNotChange } from '../read/state-reads.ts'
import { problems } from '../schemas/problem.ts'
import { NodeParams, NodePathParams } from '../schemas/sidecar.ts'
import {
  configTypes,
  SidecarConfig,
  SidecarConfigQuery,
  type ConfigResourceView,
  type ConfigType,
} from '../schemas/sidecar-config.ts'

interface Query extends ReadQuery {
  readonly type?: ConfigType
  readonly name?: string
  readonly state?: 'acked' | 'wanted'
  readonly at?: string
}

/** Resources that are written before the event loop gets its turn. */
const sliceResources = 50

const resourceView = (
  { typeUrl, name, version, acked, wanted }: HeldResource,
  state: 'acked' | 'wanted',
): ConfigResourceView => {
  const resource = state === 'acked' ? acked : (wanted ?? null)
  const body = resource?.body ?? null
  return {
    typeUrl,
    name,
    version: state === 'acked' ? version : (wanted?.version ?? null),
    revision: resource?.revision ?? null,
    config: body === null ? null : readableJson(typeUrl, body),
  }
}

const asksFor =
  ({ type, name }: Query) =>
  (resource: { readonly typeUrl: string; readonly name: string }): boolean =>
    (type === undefined || resource.typeUrl === `type.googleapis.com/${configTypes[type]}`) &&
    (name === undefined || resource.name === name)

const wantedOf = (client: ClientView, query: Query): HeldResource[] => {
  const { state = 'acked' } = query
  const isMeant = asksFor(query)
  return [...client.resources()].filter(
    resource =>
      isMeant(resource) && (state === 'acked' ? resource.version !== null : resource.wanted !== undefined),
  )
}

const pastView = ({ typeUrl, resource }: PastResource): ConfigResourceView => ({
  typeUrl,
  name: resource.name,
  version: resource.version,
  revision: null,
  config: resource.body === null ? null : readableJson(typeUrl, resource.body),
})

/** The answer's text, piece by piece: a sidecar of a large mesh has tens of megabytes. */
async function* configText<T>(
  head: object,
  resources: readonly T[],
  view: (resource: T) => ConfigResourceView,
  breathe: () => Promise<void>,
): AsyncGenerator<string> {
  yield `${JSON.stringify(head).slice(0, -1)},"resources":[`
  for (let at = 0; at < resources.length; at += sliceResources) {
    const slice = resources.slice(at, at + sliceResources).map(one => JSON.stringify(view(one)))
    yield (at === 0 ? '' : ',') + slice.join(',')
    await breathe()
  }
  yield ']}'
}

const nobodyKnows = (): WaymarkError =>
  new WaymarkError('invalid_request', 'what a sidecar had ACKed is not known of the past', {
    fields: [{ pointer: '?state', detail: 'is acked', accepted: 'wanted, or nothing, together with at' }],
  })

/** `/sidecars/{node}/config`: what a sidecar has, or should have, with the content of each resource. */
export const sidecarConfigRoutes = (app: RestApp, context: RestContext, peers: ReplicaPeers): void => {
  const { mesh, sidecars, clients, reads, states, clock, replicaId, tracing = null } = context
  const breathe = (): Promise<void> =>
    new Promise(resolve => {
      clock.soon(resolve)
    })

  const send = <T>(
    reply: FastifyReply,
    { node }: ClientView,
    { revision, state }: { readonly revision: Revision; readonly state: 'acked' | 'wanted' },
    resources: readonly T[],
    view: (resource: T) => ConfigResourceView,
  ): void => {
    const head = {
      node: node.id,
      replica: replicaId,
      revision,
      at: new Date(clock.now()).toISOString(),
      state,
    }
    void reply.header(revisionHeader, revision).type('application/json; charset=utf-8')
    void reply.send(Readable.from(configText(head, resources, view, breathe)))
  }

  const sendOwn = (reply: FastifyReply, client: ClientView, query: Query): void => {
    const { state = 'acked' } = query
    const view = (one: HeldResource): ConfigResourceView => resourceView(one, state)
    send(reply, client, { revision: mesh.revision, state }, wantedOf(client, query), view)
  }

  /** What a sidecar that says of itself what this one says today would have got then. */
  const sendPast = async (reply: FastifyReply, client: ClientView, query: Query, at: string) => {
    const held = [...client.resources()]
    const revision = await states.moment(at, reads.waitMs(query.wait), reply.raw)
    const read = <T>(work: (past: MeshView) => T): Promise<T> => states.past(revision, 'mesh', work)
    const found = await pastConfiguration({ node: client.node, held, tracing, read, breathe })
    const isMeant = asksFor(query)
    const meant = found.filter(({ typeUrl, resource: { name } }) => isMeant({ typeUrl, name }))
    send(reply, client, { revision, state: 'wanted' }, meant, pastView)
  }

  const sendOther = async (path: string, reply: FastifyReply, replica: string, gone: AbortSignal) => {
    const response = await peers.ask(replica, path, gone)
    const revision = response.headers.get(revisionHeader)
    if (revision !== null) void reply.header(revisionHeader, revision)
    void reply.status(response.status).type(response.headers.get('content-type') ?? 'application/json')
    void reply.send(response.body === null ? '' : Readable.fromWeb(response.body))
  }

  /** Sends the answer, or the error: nobody waits for it. */
  const answer = async (
    url: string,
    headers: IncomingHttpHeaders,
    query: Query,
    reply: FastifyReply,
    node: string,
  ) => {
    try {
      const gone = goneSignal(reply)
      const { at } = query
      if (at !== undefined && query.index !== undefined) throw pastDoesNotChange()
      if (at !== undefined && query.state === 'acked') throw nobodyKnows()
      await reads.pass(query, 'mesh', reply.raw)
      const forwarded = headers[forwardedHeader] !== undefined
      const found = forwarded ? undefined : await sidecars.get(node)
      const replica = found?.entry.replica ?? replicaId
      const client = clients.client(node)
      if (replica !== replicaId) await sendOther(url, reply, replica, gone)
      else if (client !== undefined && at !== undefined) await sendPast(reply, client, query, at)
      else if (client !== undefined) sendOwn(reply, client, query)
      else throw new WaymarkError('sidecar_not_found', `no sidecar ${node} is connected`)
    } catch (error) {
      void reply.send(error)
    }
  }

  const schema = {
    tags: ['sidecars'],
    summary:
      'What a sidecar has, as readable JSON, or would have got at a past moment; another replica that serves it is asked',
    querystring: SidecarConfigQuery,
    response: {
      200: SidecarConfig,
      ...problems(
        'invalid_request',
        'sidecar_not_found',
        'not_ready',
        'revision_not_reached',
        'overloaded',
        'compacted',
        'past_too_far',
        'database_unavailable',
        'replica_unreachable',
      ),
    },
  }
  app.get('/sidecars/:node/config', { schema: { ...schema, params: NodeParams } }, (request, reply) => {
    const { url, headers, query, params } = request
    void answer(url, headers, query, reply, params.node)
  })
  app.get(
    '/sidecars/:service/:id/config',
    { schema: { ...schema, params: NodePathParams } },
    (request, reply) => {
      const { url, headers, query, params } = request
      void answer(url, headers, query, reply, `${params.service}/${params.id}`)
    },
  )
}
