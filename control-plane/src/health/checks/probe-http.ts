import { request as plainRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import { request as tlsRequest } from 'node:https'
import type { HttpCheckSpec } from '@waymark/sidecar-config/model/check.ts'
import type { BodyPatterns } from './body-patterns.ts'
import { describeFailure } from './describe-failure.ts'
import { beginOr, withinTimeout, type ProbeContext, type ProbeResult } from './probe-result.ts'
import type { TlsContexts } from './tls-contexts.ts'

/** Of a body only so much is read before the connection is dropped. */
const bodyLimit = 64 * 1_024
/** And so much is searched: see maxProgram in sidecar-config/src/model/check.ts. */
const searchLimit = 16 * 1_024
const headerLimit = 16 * 1_024

export interface HttpProbeContext extends ProbeContext {
  readonly tls: TlsContexts
  readonly patterns: BodyPatterns
}

/**
 * One request on a connection of its own. The status decides; a redirect is an answer like any other and is not
 * followed. Where the body is asked for, it is read as far as it is searched. Else it is read and thrown away up to a
 * limit, so that a server can finish, and within the same timeout, so that it cannot hold the probe.
 */
export const probeHttp = async (check: HttpCheckSpec, context: HttpProbeContext): Promise<ProbeResult> => {
  // Where no body is asked for the status stands, also when the time ends while the body is read.
  let answer: ProbeResult | undefined
  const result = await withinTimeout(context, check.timeoutMs, finish =>
    beginOr(finish, describeFailure, () => {
      const outgoing = open(check, context)
      // Stays on: a request that is being destroyed may still report an error.
      outgoing.on('error', error => {
        finish({ ok: false, output: describeFailure(error), timedOut: false })
      })
      // A switch of protocols: the status is the answer, the rest is not spoken here.
      outgoing.on('upgrade', incoming => {
        finish(judge(check, incoming))
      })
      outgoing.on('response', incoming => {
        const judged = judge(check, incoming)
        const { body } = check
        if (judged.ok && body !== undefined) {
          search(incoming, text => {
            finish(judgeBody(judged, context.patterns.finds(check, body, text)))
          })
          return
        }
        answer = judged
        drain(incoming, () => {
          finish(judged)
        })
      })
      outgoing.end()
      return () => {
        outgoing.destroy()
      }
    }),
  )
  const { output, ...rest } = answer ?? result
  return { ...rest, output: `${check.method} ${check.path}: ${output}` }
}

const open = (check: HttpCheckSpec, { target, tls }: HttpProbeContext): ClientRequest => {
  const options = {
    agent: false,
    host: target.address,
    port: target.port,
    method: check.method,
    path: check.path,
    headers: {
      'user-agent': 'waymark-check',
      ...check.headers,
      ...(check.host === null ? {} : { host: check.host }),
    },
    maxHeaderSize: headerLimit,
  } as const
  return check.tls === undefined
    ? plainRequest(options)
    : tlsRequest({ ...options, ...tls.optionsFor(check.tls, check.host) })
}

const judge = ({ expect }: HttpCheckSpec, { statusCode = 0 }: IncomingMessage): ProbeResult => ({
  ok: expect.some(([from, to]) => statusCode >= from && statusCode <= to),
  output: String(statusCode),
  timedOut: false,
})

const judgeBody = (judged: ProbeResult, found: boolean): ProbeResult => ({
  ...judged,
  ok: found,
  output: `${judged.output}, the body ${found ? 'matches' : 'does not match'}`,
})

const drain = (incoming: IncomingMessage, done: () => void): void => {
  let read = 0
  incoming.on('data', (chunk: Buffer) => {
    read += chunk.length
    if (read > bodyLimit) done()
  })
  incoming.on('end', done)
  incoming.on('close', done)
  incoming.on('error', done)
}

/** Calls `done` once, with the beginning of the body; not when the connection breaks before. */
const search = (incoming: IncomingMessage, done: (text: string) => void): void => {
  const chunks: Buffer[] = []
  let read = 0
  const end = (): void => {
    incoming.removeAllListeners('data')
    incoming.removeListener('end', end)
    done(Buffer.concat(chunks).subarray(0, searchLimit).toString())
  }
  incoming.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    read += chunk.length
    if (read >= searchLimit) end()
  })
  incoming.on('end', end)
  // A body that breaks off ends the request with an error of its own; one is also told here.
  incoming.on('error', () => undefined)
}
