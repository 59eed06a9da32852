import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { hostPort } from '@waymark/sidecar-config/model/host-port.ts'
import type { GrpcCheckSpec } from '@waymark/sidecar-config/model/check.ts'
import { describeFailure } from './describe-failure.ts'
import { healthAnswer, healthRequest, type HealthHeaders } from './grpc-health.ts'
import { beginOr, withinTimeout, type ProbeContext, type ProbeResult } from './probe-result.ts'
import type { TlsContexts } from './tls-contexts.ts'

/** The answer is a few bytes; whoever sends more does not speak this protocol. */
const answerLimit = 1_024
const headerPairsLimit = 64

/**
 * One call of grpc.health.v1.Health/Check on a connection of its own
 * (https://github.com/grpc/grpc/blob/master/doc/health-checking.md): SERVING passes. Over node:http2, because a channel
 * of a gRPC library resolves, retries and keeps connections, none of which a probe may do.
 */
export const probeGrpc = async (
  check: GrpcCheckSpec,
  context: ProbeContext & { readonly tls: TlsContexts },
): Promise<ProbeResult> => {
  const result = await withinTimeout(context, check.timeoutMs, finish => {
    const fail = (error: unknown): void => {
      finish({ ok: false, output: describeFailure(error), timedOut: false })
    }
    return beginOr(finish, describeFailure, () => {
      const session = open(check, context)
      // Stays on: a session that is being destroyed may still report an error.
      session.on('error', fail)
      call(session, check, context, finish, fail)
      return () => {
        session.destroy()
      }
    })
  })
  const service = check.service === '' ? '' : ` of ${check.service}`
  return { ...result, output: `grpc health${service}: ${result.output}` }
}

const open = (
  check: GrpcCheckSpec,
  { target, tls }: { readonly target: ProbeContext['target']; readonly tls: TlsContexts },
): ClientHttp2Session => {
  const where = { host: target.address, port: target.port }
  const { tls: secure } = check
  return connect(`${secure === undefined ? 'http' : 'https'}://${hostPort(where)}`, {
    createConnection: () =>
      secure === undefined
        ? connectTcp(where)
        : connectTls({ ...where, ...tls.optionsFor(secure, check.host), ALPNProtocols: ['h2'] }),
    settings: { enablePush: false },
    maxSessionMemory: 1,
    maxHeaderListPairs: headerPairsLimit,
  })
}

const call = (
  session: ClientHttp2Session,
  check: GrpcCheckSpec,
  { target }: ProbeContext,
  finish: (result: ProbeResult) => void,
  fail: (error: unknown) => void,
): void => {
  const stream = session.request({
    ':method': 'POST',
    ':path': '/grpc.health.v1.Health/Check',
    ':authority': check.host ?? hostPort({ host: target.address, port: target.port }),
    'content-type': 'application/grpc',
    te: 'trailers',
    'user-agent': 'waymark-check',
    'grpc-timeout': `${check.timeoutMs}m`,
  })
  const trailers: Record<string, HealthHeaders[string]> = {}
  const chunks: Buffer[] = []
  let read = 0
  stream.on('error', fail)
  stream.on('response', headers => {
    // A call that is refused at once has its status here.
    Object.assign(trailers, headers)
  })
  stream.on('trailers', headers => {
    Object.assign(trailers, headers)
  })
  stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    read += chunk.length
    if (read > answerLimit) fail(new Error(`an answer of more than ${answerLimit} bytes`))
  })
  endOf(stream, () => {
    finish({ ...healthAnswer(trailers, Buffer.concat(chunks)), timedOut: false })
  })
  stream.end(healthRequest(check.service))
}

/** After the trailers, whichever way the stream closes; errors are told apart. */
const endOf = (stream: ClientHttp2Stream, done: () => void): void => {
  stream.on('close', done)
}
