/** The floor of active checks: timers, and a request of node:http for each; nothing is judged or kept. */
import { Agent, request } from 'node:http'
import { answerQuestions } from '../bench-process.ts'

interface BareChecks {
  readonly addresses: readonly string[]
  readonly port: number
  readonly intervalMs: number
  /** One connection for each target that stays open; else one for each request. */
  readonly reuse: boolean
}

let stopped = false

const handlers = {
  start: ({ addresses, port, intervalMs, reuse }: BareChecks): void => {
    const agent = reuse ? new Agent({ keepAlive: true, maxFreeSockets: addresses.length }) : false
    addresses.forEach((host, index) => {
      const probe = (due: number): void => {
        if (stopped) return
        const outgoing = request({ agent, host, port, path: '/healthz' }, incoming => incoming.resume())
        outgoing.on('error', error => {
          throw error
        })
        outgoing.end()
        setTimeout(
          () => {
            probe(due + intervalMs)
          },
          due + intervalMs - performance.now(),
        )
      }
      const due = performance.now() + (index / addresses.length) * intervalMs
      setTimeout(
        () => {
          probe(due)
        },
        Math.max(1, due - performance.now()),
      )
    })
  },
  stop: (): void => {
    stopped = true
  },
}

export type BareChecksHandlers = typeof handlers

answerQuestions(handlers)
