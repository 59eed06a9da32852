import { Type } from 'typebox'
import { WaymarkError } from '../../domain/errors.ts'
import type { RestApp, RestContext } from '../context.ts'
import { closed } from '../schemas/common.ts'
import { problems } from '../schemas/problem.ts'

const Live = Type.Object({ status: Type.Literal('ok') }, closed)

interface ProbeOptions {
  /** The text of `/metrics`, in Prometheus's exposition format. */
  readonly metrics: (() => Promise<string>) | undefined
}

/** `/healthz`, `/readyz` and `/metrics`, at the root. */
export const probeRoutes = (app: RestApp, { mesh }: RestContext, { metrics }: ProbeOptions): void => {
  const tags = ['probes']
  app.get('/healthz', { schema: { tags, summary: 'The process lives', response: { 200: Live } } }, () => ({
    status: 'ok' as const,
  }))
  app.get(
    '/readyz',
    {
      schema: {
        tags,
        summary: 'The mesh state has loaded',
        response: { 200: Live, ...problems('not_ready') },
      },
    },
    () => {
      if (!mesh.loaded) {
        throw new WaymarkError('not_ready', 'the first snapshot of the mesh is still being read')
      }
      return { status: 'ok' as const }
    },
  )
  if (metrics === undefined) return
  app.get(
    '/metrics',
    {
      schema: {
        tags,
        summary: 'Metrics of this replica',
        response: {
          200: { description: 'Prometheus text', content: { 'text/plain': { schema: { type: 'string' } } } },
        },
      },
    },
    async (_request, reply) => {
      const text = await metrics()
      return reply.type('text/plain; version=0.0.4; charset=utf-8').send(text)
    },
  )
}
