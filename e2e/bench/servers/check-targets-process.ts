/** What checks are sent to: one listener behind many addresses of the loopback net, that notes when each was asked. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { answerQuestions } from '../bench-process.ts'
import { percentile } from '../statistics.ts'

const arrivals = new Map<string, number[]>()

const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  const at = performance.now()
  const target = request.socket.localAddress ?? ''
  const times = arrivals.get(target)
  if (times === undefined) arrivals.set(target, [at])
  else times.push(at)
  response.end('ok')
})

interface Seen {
  readonly targets: number
  readonly probes: number
  /** How long after their turn probes arrived (ms). */
  readonly p50: number
  readonly p99: number
  readonly max: number
}

const handlers = {
  /** Resolves with the port. */
  listen: async (): Promise<number> => {
    server.listen(0, '0.0.0.0')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  },
  forget: (): void => {
    arrivals.clear()
  },
  /** A target's turn is once per interval; the earliest of its probes, by that measure, was in time. */
  seen: (intervalMs: number): Seen => {
    const late: number[] = []
    for (const times of arrivals.values()) {
      const first = times[0] ?? 0
      const offsets = times.map(at => at - Math.round((at - first) / intervalMs) * intervalMs)
      const inTime = Math.min(...offsets)
      for (const offset of offsets) late.push(offset - inTime)
    }
    return {
      targets: arrivals.size,
      probes: late.length,
      p50: percentile(late, 0.5),
      p99: percentile(late, 0.99),
      max: percentile(late, 1),
    }
  },
}

export type CheckTargetsHandlers = typeof handlers

answerQuestions(handlers)
