import { request, type ClientRequest, type IncomingMessage } from 'node:http'
import type { HttpCheckSpec } from '../../domain/instance.ts'
import { describeFailure } from './describe-failure.ts'
import { withinTimeout, type ProbeContext, type ProbeResult, type ProbeTarget } from './probe-result.ts'

/** Of a body only so much is read before the connection is dropped. */
const bodyLimit = 64 * 1_024
const headerLimit = 16 * 1_024

/**
 * One request on a connection of its own. The status decides; a redirect is an answer like any other and is not
 * followed. The body is read and thrown away up to a limit, so that a server can finish, and within the same
 * timeout, so that it cannot hold the probe.
 */
export const probeHttp = async (check: HttpCheckSpec, context: ProbeContext): Promise<ProbeResult> => {
  // The status stands, also when the time ends while the body is read.
  const answers: ProbeResult[] = []
  const result = await withinTimeout(context, check.timeoutMs, finish => {
    let outgoing: ClientRequest
    const failed = (error: unknown): void => {
      finish({ ok: false, output: describeFailure(error), timedOut: false })
    }
    try {
      outgoing = open(check, context.target)
    } catch (error) {
      failed(error)
      return () => undefined
    }
    // Stays on: a request that is being destroyed may still report an error.
    outgoing.on('error', failed)
    // A switch of protocols: the status is the answer, the rest is not spoken here.
    outgoing.on('upgrade', incoming => {
      finish(judge(check, incoming))
    })
    outgoing.on('response', incoming => {
      const answer = judge(check, incoming)
      answers.push(answer)
      drain(incoming, answer, finish)
    })
    outgoing.end()
    return () => {
      outgoing.destroy()
    }
  })
  const { output, ...rest } = answers[0] ?? result
  return { ...rest, output: `${check.method} ${check.path}: ${output}` }
}

const open = (check: HttpCheckSpec, { address, port }: ProbeTarget): ClientRequest =>
  request({
    agent: false,
    host: address,
    port,
    method: check.method,
    path: check.path,
    headers: {
      'user-agent': 'waymark-check',
      ...check.headers,
      ...(check.host === null ? {} : { host: check.host }),
    },
    maxHeaderSize: headerLimit,
  })

const judge = ({ expect }: HttpCheckSpec, { statusCode = 0 }: IncomingMessage): ProbeResult => ({
  ok: expect.some(([from, to]) => statusCode >= from && statusCode <= to),
  output: String(statusCode),
  timedOut: false,
})

const drain = (
  incoming: IncomingMessage,
  result: ProbeResult,
  finish: (result: ProbeResult) => void,
): void => {
  const done = (): void => {
    finish(result)
  }
  let read = 0
  incoming.on('data', (chunk: Buffer) => {
    read += chunk.length
    if (read > bodyLimit) done()
  })
  incoming.on('end', done)
  incoming.on('close', done)
  incoming.on('error', done)
}
