/** Our xDS server alone, over a MemorySource: no Postgres, no REST. */
import { systemClock } from '@waymark/control-plane/runtime/clock.ts'
import { MemorySource } from '@waymark/control-plane/xds/memory-source.ts'
import { endpointType } from '@waymark/control-plane/xds/type-urls.ts'
import { XdsServer } from '@waymark/control-plane/xds/xds-server.ts'
import { createLogger } from '@waymark/control-plane/telemetry/logger.ts'
import { answerQuestions } from '../bench-process.ts'
import { endpointsBody, portsInTurn } from './endpoints-body.ts'
import type { FanOutHandlers, FanOutSetup } from './fan-out-server.ts'
import { processMemory, runRound } from './rounds.ts'

const source = new MemorySource()
const server = new XdsServer({
  source,
  clock: systemClock,
  logger: createLogger({ level: 'warn', replicaId: 'bench' }),
  listen: { host: '127.0.0.1', port: 0 },
})
const abort = new AbortController()
let setup: FanOutSetup = { service: '', endpoints: 0 }
let turn = 0

const change = (): void => {
  const { service: name, endpoints } = setup
  turn += 1
  source.apply({
    put: [{ typeUrl: endpointType, name, body: endpointsBody(name, portsInTurn(endpoints, turn)) }],
  })
}

const handlers: FanOutHandlers = {
  start: async wanted => {
    setup = wanted
    change()
    void server.start(abort.signal)
    return (await server.listen()).port
  },
  round: ({ changes, streams }) => runRound({ changes, streams, change, acked: () => server.counters.acks }),
  memory: processMemory,
}

answerQuestions(handlers)
