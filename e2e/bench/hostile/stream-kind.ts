import { endpointType } from '@waymark/control-plane/xds/type-urls.ts'
import { DeltaRequests } from '../generator/delta-request.ts'
import { readDeltaResponse, type DeltaResponse } from '../generator/delta-response.ts'
import { Http2Dialer, type Http2Stream } from '../generator/http2-stream.ts'
import { count, type BadClientKind, type BadClientOptions, type BadCounts } from './bad-client.ts'

export const deltaAds = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'

/** One stream of a bad client, open for as long as the server lets it. */
interface BadStream {
  readonly number: number
  readonly stream: Http2Stream
  readonly requests: DeltaRequests
  readonly options: BadClientOptions
  /** The first message as a good client would send it: with a node, subscribed to the service's endpoints. */
  greet(): void
}

export interface StreamKindOptions {
  readonly what: string
  readonly streams: number
  readonly begin: (bad: BadStream) => void
  readonly onResponse?: (bad: BadStream, response: DeltaResponse) => void
  /** Runs again and again for each stream; see `everyMs`. */
  readonly act?: (bad: BadStream) => void
  readonly everyMs?: number
  /** Opens a stream again when the server has ended it, after so many ms; absent: never. */
  readonly reopenMs?: number
}

/** Bad clients with one connection and one stream each. */
export const streamKind = ({
  what,
  streams,
  begin,
  onResponse,
  act,
  everyMs = 100,
  reopenMs,
}: StreamKindOptions): BadClientKind => ({
  what: `${streams} x ${what}`,
  start: options => {
    const counts: BadCounts = {}
    const dialer = new Http2Dialer()
    const requests = new DeltaRequests()
    const open = new Map<number, BadStream>()
    let stopped = false
    const start = (number: number): void => {
      if (stopped) return
      count(counts, 'opened')
      const stream = dialer.open({
        ...options.address,
        path: deltaAds,
        onMessage: message => {
          count(counts, 'responses')
          const bad = open.get(number)
          if (bad !== undefined) onResponse?.(bad, readDeltaResponse(message))
        },
        onEnd: ({ status, reason }) => {
          count(counts, status === null ? reason : `status ${status}`)
          open.delete(number)
          if (reopenMs !== undefined)
            setTimeout(() => {
              start(number)
            }, reopenMs)
        },
      })
      const bad: BadStream = {
        number,
        stream,
        requests,
        options,
        greet: () => {
          const node = { service: 'bad', instance: `bad-${number}`, upstreams: [options.service] }
          stream.send(requests.first(node, { typeUrl: endpointType, subscribe: [options.service] }))
        },
      }
      open.set(number, bad)
      begin(bad)
    }
    for (let number = 0; number < streams; number += 1) start(number)
    const timer =
      act === undefined
        ? undefined
        : setInterval(() => {
            for (const bad of [...open.values()]) act(bad)
          }, everyMs)
    return {
      counts,
      stop: () => {
        stopped = true
        clearInterval(timer)
        for (const { stream } of open.values()) stream.close()
      },
    }
  },
})
