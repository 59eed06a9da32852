import { endpointType } from '@waymark/control-plane/xds/type-urls.ts'
import { DeltaRequests } from '../generator/delta-request.ts'
import { Http2Dialer } from '../generator/http2-stream.ts'
import { count, type BadClientKind, type BadCounts } from './bad-client.ts'
import { deltaAds } from './stream-kind.ts'

const perSecond = 1_000
const everyMs = 20
/** How long a stream lives; together with the rate it bounds how many there are. */
const lifeMs = 500
const nodes = 100

/** 1,000 new streams a second, each on a connection of its own, with a whole node, cut half a second later. */
export const streamChurn: BadClientKind = {
  what: `${perSecond} new streams a second, cut after ${lifeMs} ms`,
  start: ({ address, service }) => {
    const counts: BadCounts = {}
    const dialer = new Http2Dialer()
    const requests = new DeltaRequests()
    // One node may have a few streams only, so they are of several.
    const greetings = Array.from({ length: nodes }, (_, number) => {
      const node = { service: 'bad', instance: `churn-${number}`, upstreams: [service] }
      return requests.first(node, { typeUrl: endpointType, subscribe: [service] })
    })
    let turn = 0
    const open = (): void => {
      count(counts, 'opened')
      const stream = dialer.open({
        ...address,
        path: deltaAds,
        onMessage: () => {
          count(counts, 'responses')
        },
        onEnd: ({ status, reason }) => {
          count(counts, status === null ? reason : `status ${status}`)
        },
      })
      turn += 1
      stream.send(greetings[turn % nodes] ?? [])
      setTimeout(() => {
        stream.close()
      }, lifeMs)
    }
    const timer = setInterval(() => {
      for (let one = 0; one < (perSecond * everyMs) / 1_000; one += 1) open()
    }, everyMs)
    return {
      counts,
      stop: () => {
        clearInterval(timer)
      },
    }
  },
}
