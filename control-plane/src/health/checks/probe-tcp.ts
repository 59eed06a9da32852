import { connect } from 'node:net'
import type { TcpCheckSpec } from '../../domain/instance.ts'
import { describeFailure } from './describe-failure.ts'
import { withinTimeout, type ProbeContext, type ProbeResult } from './probe-result.ts'

/** Connecting passes; nothing is sent. */
export const probeTcp = async (check: TcpCheckSpec, context: ProbeContext): Promise<ProbeResult> => {
  const { address, port } = context.target
  const result = await withinTimeout(context, check.timeoutMs, finish => {
    const socket = connect({ host: address, port })
    socket.once('connect', () => {
      finish({ ok: true, output: 'accepted', timedOut: false })
    })
    // Stays on: a socket that is being destroyed may still report an error.
    socket.on('error', error => {
      finish({ ok: false, output: describeFailure(error), timedOut: false })
    })
    return () => {
      socket.destroy()
    }
  })
  return { ...result, output: `connect to port ${port}: ${result.output}` }
}
