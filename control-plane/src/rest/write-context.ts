import type { FastifyRequest } from 'fastify'
import { WaymarkError } from '../domain/errors.ts'
import type { WriteContext } from '../registry/registry.ts'

const actorSyntax = /^[!-~](?:[ -~]{0,98}[!-~])?$/

/** W3C trace context, version 00: neither id may be all zeros. */
const traceparentSyntax = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

const single = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value[0] : value

/**
 * Who asks, and in which trace. The name in `X-Waymark-Actor` is what the caller says of itself; the prefix
 * keeps it apart from Waymark's own parts (`sweeper`, `checks`). A broken `traceparent` is left out, as its
 * specification asks.
 */
export const writeContext = ({ headers }: Pick<FastifyRequest, 'headers'>): WriteContext => {
  const name = single(headers['x-waymark-actor'])
  if (name !== undefined && !actorSyntax.test(name)) {
    throw new WaymarkError('invalid_request', 'header x-waymark-actor is not accepted', {
      fields: [
        {
          pointer: 'header x-waymark-actor',
          detail: 'is empty, too long or holds other characters',
          accepted: '1 to 100 characters of printable ASCII',
        },
      ],
    })
  }
  const traceparent = single(headers.traceparent)
  return {
    actor: name === undefined ? 'rest' : `rest:${name}`,
    traceparent: traceparent !== undefined && traceparentSyntax.test(traceparent) ? traceparent : null,
  }
}
