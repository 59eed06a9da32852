import { HttpProtocolOptions } from '@envoyproxy/protos/envoy/extensions/upstreams/http/v3/http_protocol_options.ts'
import type { Any } from '@envoyproxy/protos/google/protobuf/any.ts'
import type { Protocol } from '../model/service.ts'
import { any, messageTypes } from './any.ts'
import { duration } from './duration.ts'

interface UpstreamOptions {
  readonly protocol: Protocol
  /** An unused connection is closed after this duration. */
  readonly connectionIdle: string
}

/** Dead peers behind a lost route are noticed within 35 s, also where no request times out. */
const keepalive = { interval: { seconds: 30, nanos: 0 }, timeout: { seconds: 5, nanos: 0 } }

/** How a cluster's instances are spoken to, as `typed_extension_protocol_options`. */
export const upstreamHttpOptions = ({ protocol, connectionIdle }: UpstreamOptions): Record<string, Any> => {
  const options = HttpProtocolOptions.fromPartial({
    commonHttpProtocolOptions: { idleTimeout: duration(connectionIdle) },
    explicitHttpConfig:
      protocol === 'http'
        ? { httpProtocolOptions: {} }
        : { http2ProtocolOptions: { connectionKeepalive: keepalive } },
  })
  return {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': any(messageTypes.httpProtocolOptions, options),
  }
}

/** TCP's own keepalive, for HTTP/1.1 and as a second net: the first probe after 30 s, given up 15 s later. */
export const tcpKeepalive = {
  tcpKeepalive: { keepaliveTime: 30, keepaliveInterval: 5, keepaliveProbes: 3 },
}
