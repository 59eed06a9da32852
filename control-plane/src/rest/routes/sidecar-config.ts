import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import { readableJson } from '@waymark/sidecar-config/envoy/readable-json.ts'
import type { FastifyReply } from 'fastify'
import { WaymarkError } from '../../domain/errors.ts'
import type { ClientView, HeldResource } from '../../xds/status/held-resources.ts'
import { goneSignal, revisionHeader, stampRead, type RestApp, type RestContext } from '../context.ts'
import type { ReadQuery } from '../read-gate.ts'
import { forwardedHeader, type ReplicaPeers } from '../replica-peers.ts'
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

const wantedOf = (client: ClientView, { type, name, state = 'acked' }: Query): HeldResource[] => {
  const typeUrl = type === undefined ? undefined : `type.googleapis.com/${configTypes[type]}`
  return [...client.resources()].filter(
    resource =>
      (typeUrl === undefined || resource.typeUrl === typeUrl) &&
      (name === undefined || resource.name === name) &&
      (state === 'acked' ? resource.version !== null : resource.wanted !== undefined),
  )
}

/** The answer's text, piece by piece: a sidecar of a large mesh has tens of megabytes. */
async function* configText(
  head: object,
  resources: readonly HeldResource[],
  state: 'acked' | 'wanted',
  breathe: () => Promise<void>,
): AsyncGenerator<string> {
  yield `${JSON.stringify(head).slice(0, -1)},"resources":[`
  for (let at = 0; at < resources.length; at += sliceResources) {
    const slice = resources
      .slice(at, at + sliceResources)
      .map(one => JSON.stringify(resourceView(one, state)))
    yield (at === 0 ? '' : ',') + slice.join(',')
    await breathe()
  }
  yield ']}'
}

/** `/sidecars/{node}/config`: what a sidecar has, or should have, with the content of each resource. */
export const sidecarConfigRoutes = (app: RestApp, context: RestContext, peers: ReplicaPeers): void => {
  const { mesh, sidecars, clients, reads, clock, replicaId } = context
  const breathe = (): Promise<void> =>
    new Promise(resolve => {
      clock.soon(resolve)
    })

  const sendOwn = (reply: FastifyReply, client: ClientView, query: Query): void => {
    const state = query.state ?? 'acked'
    const head = {
      node: client.node.id,
      replica: replicaId,
      revision: mesh.revision,
      at: new Date(clock.now()).toISOString(),
      state,
    }
    stampRead(reply, context)
    void reply.type('application/json; charset=utf-8')
    void reply.send(Readable.from(configText(head, wantedOf(client, query), state, breathe)))
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
      await reads.pass(query, 'mesh', reply.raw)
      const forwarded = headers[forwardedHeader] !== undefined
      const found = forwarded ? undefined : await sidecars.get(node)
      const replica = found?.entry.replica ?? replicaId
      const client = clients.client(node)
      if (replica !== replicaId) await sendOther(url, reply, replica, gone)
      else if (client !== undefined) sendOwn(reply, client, query)
      else throw new WaymarkError('sidecar_not_found', `no sidecar ${node} is connected`)
    } catch (error) {
      void reply.send(error)
    }
  }

  const schema = {
    tags: ['sidecars'],
    summary: 'What a sidecar has, as readable JSON; another replica that serves it is asked',
    querystring: SidecarConfigQuery,
    response: {
      200: SidecarConfig,
      ...problems(
        'invalid_request',
        'sidecar_not_found',
        'not_ready',
        'revision_not_reached',
        'overloaded',
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
