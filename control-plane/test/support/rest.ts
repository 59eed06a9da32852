import { expect } from 'vitest'
import type { Heartbeats } from '../../src/health/heartbeats.ts'
import type { RestApp } from '../../src/rest/context.ts'
import type { SidecarEntry, StatusReport } from '../../src/rest/ports.ts'
import { createRest, type RestOptions } from '../../src/rest/server.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLogger } from '../../src/runtime/logger.ts'
import { PastLog } from '../../src/store/past-log.ts'
import { Pulses } from '../../src/store/pulses.ts'
import { ApiChecker, type ApiDescription } from './api-checker.ts'
import type { TestDatabase } from './database.ts'
import { createHeartbeats } from './health.ts'
import { startReplica, type TestReplica } from './replica.ts'
import { testSinks } from './sinks.ts'

interface RestAnswer<T = unknown> {
  readonly status: number
  readonly revision: number
  readonly headers: Readonly<Record<string, unknown>>
  /** Parsed where it is JSON. */
  readonly body: T
}

export interface RestRequest {
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON, a string as it is. */
  readonly body?: unknown
}

/** REST over the real registry, log and heartbeats of one replica. */
export interface TestRest {
  readonly app: RestApp
  readonly replica: TestReplica
  readonly heartbeats: Heartbeats
  /** Paths are below `/api/v1`, unless they begin with `//`. Fails when the answer is not as OpenAPI describes. */
  call<T = unknown>(method: string, path: string, request?: RestRequest): Promise<RestAnswer<T>>
  /** For steps of a story that succeed: fails, with what was said, when they do not. */
  ok<T = unknown>(method: string, path: string, request?: RestRequest): Promise<RestAnswer<T>>
  stop(): Promise<void>
}

export const noStatus: StatusReport = {
  replica: 'replica-1',
  startedAt: '2026-01-01T00:00:00.000Z',
  revision: 0,
  head: 0,
  modes: [],
  streams: 0,
  replicas: [],
  sinks: [],
  selfPreservation: null,
}

const parsed = (text: string, type: unknown): unknown =>
  text !== '' && String(type).includes('json') ? JSON.parse(text) : text

export const startRest = async (
  test: TestDatabase,
  options: Partial<RestOptions> & { readonly sidecarEntries?: readonly SidecarEntry[] } = {},
): Promise<TestRest> => {
  const replica = startReplica(test)
  // Until then reads answer `not_ready`.
  await replica.loaded()
  const heartbeats = createHeartbeats(test, replica)
  const entries = options.sidecarEntries ?? []
  const app = await createRest({
    registry: replica.registry,
    mesh: replica.mesh,
    heartbeats,
    changes: replica.log,
    past: new PastLog(test.database),
    pulses: new Pulses(test.database),
    sidecars: {
      list: () => Promise.resolve({ entries, missing: [] }),
      get: node => {
        const entry = entries.find(one => one.node === node)
        return Promise.resolve(entry === undefined ? undefined : { entry, resources: [] })
      },
    },
    // A mesh without sidecars.
    acks: {
      reserve: () => () => undefined,
      collect: ({ revision }) => Promise.resolve({ revision, complete: true, answers: [] }),
    },
    clients: { client: () => undefined },
    loads: { reporter: () => undefined, clusters: () => [], ofCluster: () => [] },
    replicas: () => [],
    status: {
      status: () =>
        Promise.resolve({ ...noStatus, revision: replica.mesh.revision, head: replica.mesh.revision }),
    },
    sinks: testSinks(test, replica),
    logger: silentLogger,
    clock: systemClock,
    replicaId: 'replica-1',
    ...options,
  })
  const checker = new ApiChecker(app.swagger() as ApiDescription)
  const call = async <T>(method: string, path: string, request: RestRequest = {}): Promise<RestAnswer<T>> => {
    const url = path.startsWith('//') ? path.slice(1) : `/api/v1${path}`
    const { body, headers = {} } = request
    const payload = typeof body === 'string' ? body : JSON.stringify(body)
    const response = await app.inject({
      method: method as 'GET',
      url,
      headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { payload }),
    })
    const answer = {
      method,
      url,
      status: response.statusCode,
      headers: response.headers,
      body: parsed(response.body, response.headers['content-type']),
    }
    expect(checker.check(answer), `${method} ${url}: ${response.body}`).toEqual([])
    return { ...answer, revision: Number(response.headers['x-waymark-revision']), body: answer.body as T }
  }
  const ok = async <T>(method: string, path: string, request: RestRequest = {}): Promise<RestAnswer<T>> => {
    const answer = await call<T>(method, path, request)
    expect(answer.status, `${method} ${path}: ${JSON.stringify(answer.body)}`).toBeLessThan(300)
    return answer
  }
  return {
    app,
    replica,
    heartbeats,
    call,
    ok,
    stop: async () => {
      await app.close()
      await replica.stop()
    },
  }
}
