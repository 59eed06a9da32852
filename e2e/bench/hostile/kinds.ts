/** The kinds of bad clients of `hostile`. A new kind is one more entry here. */
import { endpointType } from '@waymark/control-plane/xds/type-urls.ts'
import { messageFrames } from '../generator/http2-frames.ts'
import { seededRandom } from '../workload.ts'
import type { BadClientKind } from './bad-client.ts'
import { oneByteASecond } from './one-byte.ts'
import { streamChurn } from './stream-churn.ts'
import { streamKind, type StreamKindOptions } from './stream-kind.ts'

const manyNames = 100_000
const names = Array.from({ length: manyNames }, (_, index) => `no-such-service-${index}`)

const acknowledge: StreamKindOptions['onResponse'] = ({ stream, requests }, { typeUrl, nonce }) => {
  stream.send(requests.ack(typeUrl, nonce))
}

/** What as many streams cost of which nobody is bad. */
const ackAll = streamKind({
  what: 'ACK every response, for comparison',
  streams: 50,
  begin: bad => {
    bad.greet()
  },
  onResponse: acknowledge,
})

const neverAck = streamKind({
  what: 'subscribe and never ACK',
  streams: 200,
  begin: bad => {
    bad.greet()
  },
})

const refuseAll = streamKind({
  what: 'NACK every response',
  streams: 50,
  begin: bad => {
    bad.greet()
  },
  onResponse: ({ stream, requests }, { typeUrl, nonce }) => {
    stream.send(requests.next({ typeUrl, nonce, error: 'no, thank you' }))
  },
})

const manySubscriptions = streamKind({
  what: `subscribe to ${manyNames} names, again and again`,
  streams: 3,
  begin: bad => {
    bad.greet()
  },
  onResponse: acknowledge,
  act: ({ stream, requests }) => {
    // A message may be 4 MiB: in parts.
    for (let from = 0; from < manyNames; from += 25_000)
      stream.send(requests.next({ typeUrl: endpointType, subscribe: names.slice(from, from + 25_000) }))
  },
  everyMs: 2_000,
  reopenMs: 500,
})

const tenMegabytes = streamKind({
  what: 'send a request of 10 MB',
  streams: 5,
  begin: ({ stream }) => {
    stream.send(messageFrames(Buffer.alloc(10_000_000, 1)))
  },
  reopenMs: 200,
})

const garbage = streamKind({
  what: 'send garbage as messages and as frames',
  streams: 20,
  begin: ({ number, stream }) => {
    const random = seededRandom(number + 1)
    const bytes = Buffer.from(Array.from({ length: 2_000 }, () => Math.floor(random() * 256)))
    if (number % 2 === 0) stream.send(messageFrames(bytes))
    else stream.sendRaw(bytes)
  },
  reopenMs: 100,
})

const vanish: BadClientKind = {
  ...streamKind({
    what: 'follow the service, on a host that vanishes',
    streams: 200,
    begin: bad => {
      bad.greet()
    },
    onResponse: acknowledge,
  }),
  vanishes: true,
}

export const badClientKinds: Readonly<Record<string, BadClientKind>> = {
  ackAll,
  refuseAll,
  neverAck,
  manySubscriptions,
  tenMegabytes,
  garbage,
  streamChurn,
  oneByteASecond,
  vanish,
}
