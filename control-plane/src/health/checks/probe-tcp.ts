import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { TcpCheckSpec } from '@waymark/sidecar-config/model/check.ts'
import { describeFailure } from './describe-failure.ts'
import { beginOr, withinTimeout, type ProbeContext, type ProbeResult } from './probe-result.ts'
import type { TlsContexts } from './tls-contexts.ts'

/** Connecting passes, with TLS once the server has proved who it is; nothing is sent. */
export const probeTcp = async (
  check: TcpCheckSpec,
  context: ProbeContext & { readonly tls: TlsContexts },
): Promise<ProbeResult> => {
  const { target, tls } = context
  const result = await withinTimeout(context, check.timeoutMs, finish =>
    beginOr(finish, describeFailure, () => {
      const where = { host: target.address, port: target.port }
      const socket =
        check.tls === undefined
          ? connect(where)
          : connectTls({ ...where, ...tls.optionsFor(check.tls, null) })
      socket.once(check.tls === undefined ? 'connect' : 'secureConnect', () => {
        finish({
          ok: true,
          output: check.tls === undefined ? 'accepted' : 'TLS established',
          timedOut: false,
        })
      })
      // Stays on: a socket that is being destroyed may still report an error.
      socket.on('error', error => {
        finish({ ok: false, output: describeFailure(error), timedOut: false })
      })
      return () => {
        socket.destroy()
      }
    }),
  )
  return { ...result, output: `connect to port ${target.port}: ${result.output}` }
}
