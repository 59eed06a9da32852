import { stampRead, type RestApp, type RestContext } from '../context.ts'
import { problems } from '../schemas/problem.ts'
import { Status, type StatusView } from '../schemas/status.ts'
import type { WatchHub } from '../watch/watch-hub.ts'

/** `/status`: answers in every mode, for it is what one asks then. */
export const statusRoutes = (app: RestApp, context: RestContext, watches: WatchHub): void => {
  const { mesh, status, clock } = context
  app.get(
    '/status',
    {
      schema: {
        tags: ['status'],
        summary: 'Modes with their evidence, replicas, sinks, lag',
        response: { 200: Status, ...problems('internal') },
      },
    },
    async (_request, reply): Promise<StatusView> => {
      const report = await status.status()
      stampRead(reply, context)
      return {
        replica: report.replica,
        startedAt: report.startedAt,
        at: new Date(clock.now()).toISOString(),
        ready: mesh.loaded,
        revision: report.revision,
        head: report.head,
        lag: report.head === null ? null : Math.max(0, report.head - report.revision),
        modes: report.modes.map(mode => ({ ...mode })),
        streams: report.streams,
        watchers: watches.counts(),
        replicas: report.replicas?.map(replica => ({ ...replica })) ?? null,
        sinks:
          report.sinks?.map(({ sink, revision, lag, lagMs, parked, paused, compacted, orphaned, error }) => ({
            ...{ sink, revision, lag, lagMs: Math.round(lagMs), parked, paused: paused !== null },
            ...{ compacted, orphaned, error },
          })) ?? null,
        selfPreservation: report.selfPreservation,
      }
    },
  )
}
