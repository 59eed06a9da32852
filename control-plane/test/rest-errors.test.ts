import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { errorCatalogue, WaymarkError, type ErrorCode } from '../src/domain/errors.ts'
import { CompactedError } from '../src/domain/revision.ts'
import { MeshState } from '../src/mesh/mesh-state.ts'
import { Registry } from '../src/registry/registry.ts'
import type { ProblemView } from '../src/rest/schemas/problem.ts'
import type { RestOptions } from '../src/rest/server.ts'
import { silentLogger } from '../src/runtime/logger.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { ManualClock } from './support/manual-clock.ts'
import { startRest, type RestRequest, type TestRest } from './support/rest.ts'
import { createTestSinks } from './support/sinks.ts'
import { sidecarEntry } from './support/sidecar-entry.ts'

let test: TestDatabase
let rest: TestRest
/** Replicas with something special about them. */
const others: TestRest[] = []

beforeAll(async () => {
  test = await createTestDatabase()
  rest = await startRest(test)
})

afterEach(async () => {
  for (const other of others.splice(0)) await other.stop()
})

afterAll(async () => {
  await rest.stop()
  await test.destroy()
})

const other = async (options: Partial<RestOptions>): Promise<TestRest> => {
  const started = await startRest(test, options)
  others.push(started)
  return started
}

/** Every code that a test of this file has seen in an answer. */
const seen = new Set<ErrorCode>()

const problem = async (
  method: string,
  path: string,
  request: RestRequest = {},
  at: TestRest = rest,
): Promise<ProblemView & { readonly headers: Readonly<Record<string, unknown>> }> => {
  const { body, headers } = await at.call<ProblemView>(method, path, request)
  seen.add(body.code)
  expect(body.type).toBe(`urn:waymark:error:${body.code}`)
  expect(JSON.stringify(body)).not.toMatch(/node_modules|\.ts:|at .*\(/)
  return { ...body, headers }
}
const codeOf = async (...args: Parameters<typeof problem>) => (await problem(...args)).code
const instance = '/services/payments/instances/a'
const valid = { address: '10.0.0.1', port: 80 }

/** Writes bytes to a real socket, and gives what comes back until it closes. */
const exchange = async (app: TestRest['app'], text: string): Promise<string> => {
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  const socket = connect(Number(port), '127.0.0.1')
  let answer = ''
  socket.on('data', chunk => {
    answer += chunk.toString()
  })
  socket.on('error', () => undefined)
  socket.write(text)
  await once(socket, 'close')
  return answer
}
const problemOf = (answer: string): ProblemView => {
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  expect(head).toContain('application/problem+json')
  const parsed = JSON.parse(body) as ProblemView
  expect(head).toMatch(new RegExp(`^HTTP/1.1 ${parsed.status} `))
  seen.add(parsed.code)
  return parsed
}

describe('bad input', () => {
  it('that is not JSON', async () => {
    for (const body of ['{"address": ', '', '{"address": "10.0.0.1", "port": 80,}', 'NaN', '\ufeff{}x']) {
      expect([body, await codeOf('PUT', instance, { body })]).toEqual([body, 'malformed_json'])
    }
    const poisoned = '{"address": "10.0.0.1", "port": 80, "metadata": {"__proto__": {"x": "y"}}}'
    expect(await codeOf('PUT', instance, { body: poisoned })).toBe('malformed_json')
  })

  it('that does not fit its schema', async () => {
    const { code, errors, status } = await problem('PUT', instance, { body: { port: '80' } })
    expect([code, status]).toEqual(['invalid_request', 400])
    expect(errors).toEqual([
      {
        pointer: '/address',
        detail: 'is missing',
        accepted: expect.stringContaining('IP address') as string,
      },
      { pointer: '/port', detail: '"80" is not accepted', accepted: 'a port from 1 to 65535' },
    ])
  })

  it('that is too large: 1 MiB anywhere, less where less is meant', async () => {
    const big = (bytes: number) => ({ ...valid, version: 'x'.repeat(bytes) })
    expect(await codeOf('PUT', instance, { body: big(1_048_576) })).toBe('body_too_large')
    expect(await codeOf('PUT', instance, { body: big(65_536) })).toBe('body_too_large')
    expect(await codeOf('PUT', `${instance}/heartbeat`, { body: big(1_048_576) })).toBe('body_too_large')
    const document = { spec: { description: 'x'.repeat(300_000) } }
    expect(await codeOf('PUT', '/documents/Service/payments', { body: document })).toBe('body_too_large')
  })

  it('of another media type', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/xml', 'nonsense']) {
      const request = { body: 'address=10.0.0.1', headers: { 'content-type': type } }
      expect([type, await codeOf('PUT', instance, request)]).toEqual([type, 'unsupported_media_type'])
    }
  })

  it('with odd characters in names', async () => {
    for (const name of [
      'Payments',
      'pay_ments',
      '-pay',
      'pay.',
      'mesh',
      'a.mesh',
      'a%00b',
      '%F0%9F%98%80',
      'x'.repeat(201),
      '..%2f..',
      "a'--",
    ]) {
      const { code, errors } = await problem('PUT', `/services/${name}/instances/a`, { body: valid })
      expect([name, code, errors?.[0]?.pointer]).toEqual([name, 'invalid_request', '{service}'])
    }
    for (const id of ['_a', 'a%2Fb', 'a%0Ab', '%C3%A9', 'a%20b']) {
      const { code, errors } = await problem('PUT', `/services/payments/instances/${id}`, { body: valid })
      expect([id, code, errors?.[0]?.pointer]).toEqual([id, 'invalid_request', '{id}'])
    }
    expect(await codeOf('GET', '/services/%ZZ')).toBe('malformed_http')
    expect(await codeOf('GET', '/services/%C3%28')).toBe('malformed_http')
  })

  it('changes nothing', () => {
    expect(rest.replica.mesh.revision).toBe(0)
  })
})

describe('paths and methods', () => {
  it('that do not exist', async () => {
    for (const path of ['/nothing', '//', '//nothing', '//api', '//docs/nothing']) {
      expect([path, await codeOf('GET', path)]).toEqual([path, 'route_not_found'])
    }
  })

  it('answer 405 with what the path has', async () => {
    const { code, headers } = await problem('POST', instance, { body: valid })
    expect([code, headers.allow]).toEqual(['method_not_allowed', 'DELETE, GET, HEAD, PUT'])
    // fastify has an opinion of its own about a QUERY without a content type.
    expect(await codeOf('QUERY', instance)).toBe('method_not_allowed')
    expect(await codeOf('POST', '/nothing', { body: '{' })).toBe('route_not_found')
    const preflight = await problem('OPTIONS', instance, { headers: { origin: 'http://evil.example' } })
    expect(preflight.code).toBe('method_not_allowed')
    expect(Object.keys(preflight.headers).filter(name => name.startsWith('access-control'))).toEqual([])
  })

  it('are not answered for a foreign host name', async () => {
    const foreign = { headers: { host: 'rebound.example' } }
    expect(await codeOf('GET', '/status', foreign)).toBe('host_not_allowed')
    expect(await codeOf('GET', '//docs/', foreign)).toBe('host_not_allowed')
    expect(await codeOf('GET', '/nothing', foreign)).toBe('host_not_allowed')
    const named = await other({ allowedHosts: ['rebound.example'] })
    expect((await named.call('GET', '/status', foreign)).status).toBe(200)
  })
})

describe('what is not there', () => {
  it.each<[string, string, ErrorCode]>([
    ['GET', '/services/nobody', 'service_not_found'],
    ['GET', instance, 'instance_not_found'],
    ['PUT', `${instance}/heartbeat`, 'instance_not_found'],
    ['DELETE', instance, 'instance_not_found'],
    ['GET', '/documents/Service/nobody', 'document_not_found'],
    ['GET', '/sidecars/payments%2Fnobody', 'sidecar_not_found'],
    ['GET', '/sidecars/payments/nobody', 'sidecar_not_found'],
  ])('%s %s: %s', async (method, path, code) => {
    expect(await codeOf(method, path)).toBe(code)
  })
})

describe('conflicts', () => {
  it('with a newer registration, and with a newer version of a document', async () => {
    const { body: first } = await rest.ok<{ incarnation: number }>('PUT', instance, { body: valid })
    await rest.ok('PUT', instance, { body: valid })
    expect(await codeOf('DELETE', `${instance}?incarnation=${first.incarnation}`)).toBe(
      'incarnation_conflict',
    )
    const document = '/documents/Service/payments'
    await rest.ok('PUT', document, { body: { spec: {} } })
    expect(await codeOf('PUT', document, { body: { spec: {} }, headers: { 'if-match': '"999"' } })).toBe(
      'version_conflict',
    )
    expect(await codeOf('PUT', document, { body: { spec: { protocol: 'smtp' } } })).toBe('invalid_document')
  })
})

describe('waiting', () => {
  it('for a revision that does not come', async () => {
    const { code, headers } = await problem('GET', '/services?minRevision=1000&wait=20ms')
    expect([code, headers['retry-after']]).toEqual(['revision_not_reached', '1'])
    expect(await codeOf('GET', '/services?minRevision=1000&wait=31s')).toBe('invalid_request')
  })

  it('in too great a number', async () => {
    const small = await other({ limits: { waiting: 1 } })
    const { revision } = small.replica.mesh
    const first = small.call('GET', `/services?index=${revision}&wait=30s`)
    await eventually(async () => {
      expect(await codeOf('GET', `/services?index=${revision}&wait=1ms`, {}, small)).toBe('overloaded')
    })
    await small.call('PUT', '/services/payments/instances/b', { body: valid })
    expect((await first).status).toBe(200)
  })

  it('for the past, further back than this replica walks', async () => {
    const short = await other({ limits: { pastRevisions: 1 } })
    await short.call('PUT', '/services/payments/instances/past', { body: valid })
    await short.call('DELETE', '/services/payments/instances/past')
    expect(await codeOf('GET', '/services?at=0', {}, short)).toBe('past_too_far')
  })
})

describe('what Waymark itself cannot do', () => {
  it('before its state has loaded', async () => {
    const empty = await other({ mesh: new MeshState() })
    for (const path of [
      '//readyz',
      '/services',
      '/services/payments',
      instance,
      '/documents',
      '/sidecars',
      '/watch',
    ]) {
      const { code, headers } = await problem('GET', path, {}, empty)
      expect([path, code, headers['retry-after']]).toEqual([path, 'not_ready', '1'])
    }
    expect((await empty.call('GET', '//healthz')).status).toBe(200)
    expect((await empty.call('GET', '/status')).body).toMatchObject({ ready: false })
  })

  it('without its database', async () => {
    const gone = new WaymarkError('database_unavailable', 'connection refused', { retryAfterMs: 2_500 })
    const away = await other({
      registry: new Registry({
        submit: () => Promise.reject(gone),
        submitAll: writes => Promise.resolve(writes.map(() => ({ error: gone }))),
      }),
      heartbeats: { beat: () => Promise.reject(gone) },
      changes: { readChanges: () => Promise.reject(gone) },
      pulses: { readPulse: () => Promise.reject(gone) },
      sidecars: { list: () => Promise.reject(gone), get: () => Promise.reject(gone) },
    })
    const requests: [string, string, RestRequest][] = [
      ['PUT', instance, { body: valid }],
      ['DELETE', instance, {}],
      ['PUT', `${instance}/heartbeat`, {}],
      ['PUT', `${instance}/override`, { body: { status: 'none' } }],
      ['PUT', '/documents/Service/payments', { body: { spec: {} } }],
      ['DELETE', '/documents/Service/payments', {}],
      ['GET', '/changes', {}],
      ['GET', '/sidecars', {}],
    ]
    for (const [method, path, request] of requests) {
      const { code, headers } = await problem(method, path, request, away)
      expect([path, code, headers['retry-after']]).toEqual([path, 'database_unavailable', '3'])
    }
    const memory = await away.call('GET', instance)
    expect(memory.body).toMatchObject({ id: 'a', freshness: 'log' })
  })

  it('answers from memory when the database does not answer in time', async () => {
    const clock = new ManualClock()
    const slow = await other({ pulses: { readPulse: () => new Promise(() => undefined) }, clock })
    const answer = slow.call('GET', instance)
    await eventually(() => {
      expect(clock.pending).toBeGreaterThan(0)
    })
    await clock.advance(500)
    expect((await answer).body).toMatchObject({ id: 'a', freshness: 'log' })
  })

  it('when only another replica knows, and does not run', async () => {
    const entry = sidecarEntry('web/web-1', 'replica-2')
    const alone = await other({
      sidecars: {
        list: () => Promise.reject(new Error()),
        get: () => Promise.resolve({ entry, resources: null }),
      },
    })
    const { code, detail } = await problem('GET', '/sidecars/web/web-1/config', {}, alone)
    expect(code).toBe('replica_unreachable')
    expect(detail).toContain('replica-2')
  })

  it('when the log has been compacted', async () => {
    const compacted = await other({
      changes: { readChanges: () => Promise.reject(new CompactedError(4, 100)) },
    })
    const { code, detail } = await problem('GET', '/changes?after=3', {}, compacted)
    expect(code).toBe('compacted')
    expect(detail).toContain('100')
  })

  it('for a reason that nobody foresaw: in the log, not in the answer', async () => {
    const error = vi.fn()
    const broken = await other({
      logger: { ...silentLogger, error },
      status: { status: () => Promise.reject(new Error('secret words')) },
    })
    const { code, detail, instance: name } = await problem('GET', '/status', {}, broken)
    expect(code).toBe('internal')
    expect(detail).not.toContain('secret')
    expect(error).toHaveBeenCalledWith(
      expect.objectContaining({
        request: name,
        err: expect.objectContaining({ message: 'secret words' }) as Error,
      }),
      'a request failed',
    )
  })
})

describe('broken HTTP on the wire', () => {
  it('gets a problem document too', async () => {
    const wire = await other({})
    expect(problemOf(await exchange(wire.app, 'NONSENSE\r\n\r\n')).code).toBe('malformed_http')
  })

  it('also when headers are too large', async () => {
    const wire = await other({})
    const large = `GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`
    expect(problemOf(await exchange(wire.app, large)).code).toBe('headers_too_large')
  })

  it('also when the request does not arrive', async () => {
    const wire = await other({ limits: { requestTimeoutMs: 200 } })
    expect(problemOf(await exchange(wire.app, 'GET /healthz HTTP/1.1\r\nhost: local')).code).toBe(
      'request_timeout',
    )
  })
})

describe('sinks', () => {
  it('that are not there, nor what they could have parked, nor their events', async () => {
    expect(await codeOf('GET', '/sinks/nobody')).toBe('sink_not_found')
    expect(await codeOf('POST', '/sinks/nobody/pause')).toBe('sink_not_found')
    expect(await codeOf('GET', '/events/schemas/instance.nothing')).toBe('event_type_not_found')
    const { control, manager } = createTestSinks(test, rest.replica, {
      sinks: [{ kind: 'stdout', name: 'out', start: 'now' }],
    })
    const abort = new AbortController()
    const ended = manager.start(abort.signal)
    const started = await other({ sinks: control })
    const id = '00000000-0000-7000-8000-000000000000'
    expect(await codeOf('DELETE', `/sinks/out/parked/${id}`, {}, started)).toBe('parked_event_not_found')
    await eventually(async () => {
      expect(await codeOf('DELETE', '/sinks/out', {}, started)).toBe('sink_in_use')
    })
    abort.abort()
    await ended
  })
})

describe('the catalogue', () => {
  it('has no error that this file has not produced', () => {
    expect([...seen].sort()).toEqual(Object.keys(errorCatalogue).sort())
  })
})
