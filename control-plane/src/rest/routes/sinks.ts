import { WaymarkError } from '../../domain/errors.ts'
import { stampRead, type RestApp, type RestContext } from '../context.ts'
import { noBody } from '../schemas/common.ts'
import { problems } from '../schemas/problem.ts'
import {
  Dropped,
  EventSchema,
  EventTypeList,
  EventTypeParams,
  ParkedList,
  ParkedOfQuery,
  ParkedParams,
  ParkedQuery,
  Replayed,
  ReplayBody,
  Sink,
  SinkList,
  SinkParams,
  type DroppedView,
  type ParkedListView,
  type ReplayedView,
  type SinkView,
} from '../schemas/sink.ts'
import type { SinkState } from '../sink-port.ts'
import { writeContext } from '../write-context.ts'

const tags = ['sinks']
const defaultParkedLimit = 100
const known = ['invalid_request', 'sink_not_found'] as const
const stored = [...known, 'database_unavailable'] as const

const sinkView = ({ paused, gap, ...state }: SinkState): SinkView => ({
  ...state,
  gap: gap === null ? null : { ...gap },
  lagMs: Math.round(state.lagMs),
  paused: paused === null ? null : { ...paused },
})

/** `12.0`: after that place of the log. */
const placeOf = (after = '0.0'): { readonly revision: number; readonly position: number } => {
  const [revision = '0', position = '0'] = after.split('.')
  return { revision: Number(revision), position: Number(position) }
}

/** `/sinks` and below, `/events/schemas`: sinks themselves are documents. */
export const sinkRoutes = (app: RestApp, context: RestContext): void => {
  readRoutes(app, context)
  wishRoutes(app, context)
  parkedRoutes(app, context)
  schemaRoutes(app, context)
}

const readRoutes = (app: RestApp, context: RestContext): void => {
  const { sinks } = context
  app.get(
    '/sinks',
    {
      schema: {
        tags,
        summary: 'Every sink with its lag',
        response: { 200: SinkList, ...problems('internal') },
      },
    },
    (_request, reply) => {
      stampRead(reply, context)
      return { sinks: sinks.list().map(sinkView) }
    },
  )
  app.get(
    '/sinks/:sink',
    {
      schema: {
        tags,
        summary: 'One sink: how far it is, what is parked, why it does not go on',
        params: SinkParams,
        response: { 200: Sink, ...problems(...known) },
      },
    },
    (request, reply) => {
      const view = sinkView(sinks.get(request.params.sink))
      stampRead(reply, context)
      return view
    },
  )
}

/** `instance/payments/payments-1`: the type, and the id after it. */
const aggregateOf = (text: string): { readonly aggregateType: string; readonly aggregateId: string } => {
  const slash = text.indexOf('/')
  return { aggregateType: text.slice(0, slash), aggregateId: text.slice(slash + 1) }
}

const wishRoutes = (app: RestApp, context: RestContext): void => {
  const { sinks } = context
  const schema = { tags, params: SinkParams, response: { 200: Sink, ...problems(...stored) } }
  app.post(
    '/sinks/:sink/pause',
    { schema: { ...schema, summary: 'Deliver nothing until it is resumed; nothing is lost' } },
    async (request, reply) => {
      const { sink } = request.params
      await sinks.pause(sink, writeContext(request).actor)
      stampRead(reply, context)
      return sinkView(sinks.get(sink))
    },
  )
  app.post(
    '/sinks/:sink/resume',
    { schema: { ...schema, summary: 'Go on delivering' } },
    async (request, reply) => {
      const { sink } = request.params
      await sinks.resume(sink)
      stampRead(reply, context)
      return sinkView(sinks.get(sink))
    },
  )
  app.delete(
    '/sinks/:sink',
    {
      schema: {
        tags,
        summary: 'Forget a sink that no replica has in its configuration any more',
        params: SinkParams,
        response: { 204: noBody('it is forgotten'), ...problems(...stored, 'sink_in_use') },
      },
    },
    async (request, reply) => {
      await sinks.forget(request.params.sink)
      stampRead(reply, context)
      void reply.code(204)
      return null
    },
  )
  app.post(
    '/sinks/:sink/replay',
    {
      schema: {
        ...schema,
        summary: 'Deliver everything from a revision on again',
        body: ReplayBody,
        response: { 200: Replayed, ...problems(...stored, 'compacted') },
      },
    },
    async (request, reply): Promise<ReplayedView> => {
      const from = await sinks.replay(request.params.sink, request.body.from)
      stampRead(reply, context)
      return { from }
    },
  )
}

const parkedRoutes = (app: RestApp, context: RestContext): void => {
  const { sinks } = context
  app.get(
    '/sinks/:sink/parked',
    {
      schema: {
        tags,
        summary: 'The events that the sink refuses, and those behind them, in order of the log',
        params: SinkParams,
        querystring: ParkedQuery,
        response: { 200: ParkedList, ...problems(...stored) },
      },
    },
    async (request, reply): Promise<ParkedListView> => {
      const { after, limit = defaultParkedLimit } = request.query
      const parked = await sinks.parked({ sink: request.params.sink, after: placeOf(after), limit })
      stampRead(reply, context)
      const last = parked.at(-1)
      const more = parked.length === limit && last !== undefined
      return {
        parked: parked.map(entry => ({ ...entry })),
        next: more ? `${last.revision}.${last.position}` : null,
      }
    },
  )
  app.post(
    '/sinks/:sink/parked/retry',
    {
      schema: {
        tags,
        summary: 'Try parked events now, the oldest of each aggregate first',
        params: SinkParams,
        response: { 204: noBody('they are tried'), ...problems(...stored) },
      },
    },
    async (request, reply) => {
      await sinks.retryParked(request.params.sink)
      stampRead(reply, context)
      void reply.code(204)
      return null
    },
  )
  app.delete(
    '/sinks/:sink/parked',
    {
      schema: {
        tags,
        summary: 'Give up all parked events of one instance or document',
        params: SinkParams,
        querystring: ParkedOfQuery,
        response: { 200: Dropped, ...problems(...stored) },
      },
    },
    async (request, reply): Promise<DroppedView> => {
      const { sink } = request.params
      const dropped = await sinks.dropParkedOf(sink, aggregateOf(request.query.aggregate))
      stampRead(reply, context)
      return { dropped }
    },
  )
  app.delete(
    '/sinks/:sink/parked/:id',
    {
      schema: {
        tags,
        summary: 'Give a parked event up: the sink never gets it; those behind it are tried',
        params: ParkedParams,
        response: { 204: noBody('the event is dropped'), ...problems(...stored, 'parked_event_not_found') },
      },
    },
    async (request, reply) => {
      await sinks.dropParked(request.params.sink, request.params.id)
      stampRead(reply, context)
      void reply.code(204)
      return null
    },
  )
}

const schemaRoutes = (app: RestApp, context: RestContext): void => {
  const { sinks } = context
  app.get(
    '/events/schemas',
    {
      schema: {
        tags,
        summary: 'Every type of event with the JSON Schema of its data',
        response: { 200: EventTypeList, ...problems('internal') },
      },
    },
    (_request, reply) => {
      stampRead(reply, context)
      return {
        types: sinks.eventTypes.map(type => ({
          type: `io.waymark.${type}`,
          schema: sinks.eventSchema(type),
        })),
      }
    },
  )
  app.get(
    '/events/schemas/:type',
    {
      schema: {
        tags,
        summary: 'The JSON Schema of the data of one type of event',
        params: EventTypeParams,
        response: { 200: EventSchema, ...problems('invalid_request', 'event_type_not_found') },
      },
    },
    (request, reply) => {
      const schema = sinks.eventSchema(request.params.type.replace(/^io\.waymark\./, ''))
      if (schema === undefined)
        throw new WaymarkError('event_type_not_found', `there is no type of event ${request.params.type}`)
      stampRead(reply, context)
      return schema
    },
  )
}
