import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import { startTestMesh } from '../harness/story.ts'

interface RawAnswer {
  readonly status: number
  readonly type: string
  readonly problem: { readonly code?: string; readonly status?: number; readonly errors?: unknown }
}

/** Bytes over a socket of their own, the answer as it comes back until the server closes. */
const exchange = async (port: number, bytes: string): Promise<RawAnswer> => {
  const socket = connect({ host: '127.0.0.1', port })
  // A server may answer and close before it has read a large body.
  socket.on('error', () => undefined)
  socket.write(bytes)
  const answer = await text(socket)
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1])
  const type = /^content-type: *(.*)$/im.exec(head)?.[1] ?? ''
  const json = body.slice(body.indexOf('{'), body.lastIndexOf('}') + 1)
  return { status, type, problem: json === '' ? {} : (JSON.parse(json) as RawAnswer['problem']) }
}

interface RequestParts {
  readonly method: string
  readonly path: string
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
}

const request = ({ method, path, body, headers = {} }: RequestParts): string => {
  const all = {
    host: '127.0.0.1',
    connection: 'close',
    ...(body === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
    ...headers,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body ?? ''}`
}

const good = { address: '127.0.0.1', port: 8080, lease: null }
const one = '/api/v1/services/payments/instances/payments-1'
const put = (body: unknown, path = one): string =>
  request({ method: 'PUT', path, body: typeof body === 'string' ? body : JSON.stringify(body) })
const document = (spec: unknown): string =>
  request({
    method: 'PUT',
    path: '/api/v1/documents/TrafficPolicy/payments',
    body: JSON.stringify({ spec }),
  })
const at = (path: string, method = 'PUT'): string =>
  method === 'PUT' ? put(good, path) : request({ method, path })

/** name, bytes on the wire, status, code of the catalogue; `lost` is an incarnation that has been replaced */
const cases = (lost: number): readonly (readonly [string, string, number, string])[] => [
  ['an unknown field', put({ ...good, prot: 1 }), 400, 'invalid_request'],
  ['an unknown field deep inside', put({ ...good, lease: { tll: '5s' } }), 400, 'invalid_request'],
  ['a port as text', put({ ...good, port: '8080' }), 400, 'invalid_request'],
  ['port 0', put({ ...good, port: 0 }), 400, 'invalid_request'],
  ['port 65536', put({ ...good, port: 65_536 }), 400, 'invalid_request'],
  ['half a port', put({ ...good, port: 80.5 }), 400, 'invalid_request'],
  ['a host name as address', put({ ...good, address: 'localhost' }), 400, 'invalid_request'],
  ['an address out of range', put({ ...good, address: '10.0.0.256' }), 400, 'invalid_request'],
  ['no address', put({ port: 8080 }), 400, 'invalid_request'],
  ['weight 0', put({ ...good, weight: 0 }), 400, 'invalid_request'],
  ['a lease that is no duration', put({ ...good, lease: { ttl: 'soon' } }), 400, 'invalid_request'],
  ['a check of no kind', put({ ...good, checks: [{ kind: 'ping' }] }), 400, 'invalid_request'],
  ['a NUL in metadata', put({ ...good, metadata: { a: 'x\u0000' } }), 400, 'invalid_request'],
  ['a list', put([good]), 400, 'invalid_request'],
  ['null', put('null'), 400, 'invalid_request'],
  ['broken JSON', put('{"address": "127.0.0.1", "port": 80'), 400, 'malformed_json'],
  ['no JSON at all', put('address=127.0.0.1'), 400, 'malformed_json'],
  [
    'a prototype',
    put('{"__proto__": {"port": 1}, "address": "127.0.0.1", "port": 80}'),
    400,
    'malformed_json',
  ],
  ['a body of 1 MiB', put({ ...good, metadata: { a: 'x'.repeat(1_048_576) } }), 413, 'body_too_large'],
  ['1 MiB of brackets', put('['.repeat(1_048_576)), 413, 'body_too_large'],
  ['brackets within the limit', put('['.repeat(60_000)), 400, 'malformed_json'],
  [
    'another type of body',
    request({ method: 'PUT', path: one, body: 'a: 1', headers: { 'content-type': 'text/yaml' } }),
    415,
    'unsupported_media_type',
  ],
  ['a name in capitals', at('/api/v1/services/Payments/instances/a'), 400, 'invalid_request'],
  ['a name with a slash', at('/api/v1/services/pay%2Fments/instances/a'), 400, 'invalid_request'],
  ['a name that goes up', at('/api/v1/services/..%2F..%2Fstatus/instances/a'), 400, 'invalid_request'],
  ['a name with a quote', at("/api/v1/services/pay'%3Bdrop/instances/a"), 400, 'invalid_request'],
  ['a name with a NUL', at('/api/v1/services/pay%00ments/instances/a'), 400, 'invalid_request'],
  ['a name with a snowman', at('/api/v1/services/%E2%98%83/instances/a'), 400, 'invalid_request'],
  ['a name of 300 characters', at(`/api/v1/services/${'a'.repeat(300)}/instances/a`), 400, 'invalid_request'],
  ['the reserved name', at('/api/v1/services/a.mesh/instances/a'), 400, 'invalid_request'],
  ['broken escapes', at('/api/v1/services/%zz/instances/a'), 400, 'malformed_http'],
  ['an unknown path', at('/api/v1/servicez', 'GET'), 404, 'route_not_found'],
  ['a wrong method', at('/api/v1/status', 'DELETE'), 405, 'method_not_allowed'],
  [
    'a heartbeat for nobody',
    put({}, '/api/v1/services/nobody/instances/a/heartbeat'),
    404,
    'instance_not_found',
  ],
  [
    'a heartbeat for a lost lease',
    put({ incarnation: lost }, `${one}/heartbeat`),
    409,
    'incarnation_conflict',
  ],
  ['a heartbeat with an odd status', put({ status: 'fine' }, `${one}/heartbeat`), 400, 'invalid_request'],
  ['a late deregistration', at(`${one}?incarnation=${lost}`, 'DELETE'), 409, 'incarnation_conflict'],
  ['an odd drain', at(`${one}?drain=soon`, 'DELETE'), 400, 'invalid_request'],
  ['a service that is not there', at('/api/v1/services/nobody', 'GET'), 404, 'service_not_found'],
  ['an unknown parameter', at('/api/v1/services?helth=healthy', 'GET'), 400, 'invalid_request'],
  [
    'a document of no kind',
    request({ method: 'PUT', path: '/api/v1/documents/Nothing/a', body: '{"spec": {}}' }),
    400,
    'invalid_request',
  ],
  ['a document with an unknown field', document({ timeout: '1s' }), 422, 'invalid_document'],
  ['a document that says the impossible', document({ timeouts: { connect: '2h' } }), 422, 'invalid_document'],
  [
    'a host name of somebody else',
    request({ method: 'GET', path: '/api/v1/status', headers: { host: 'evil.example' } }),
    421,
    'host_not_allowed',
  ],
  ['no HTTP', 'HELLO\r\n\r\n', 400, 'malformed_http'],
  [
    'two lengths',
    'GET /api/v1/status HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n',
    400,
    'malformed_http',
  ],
  [
    'huge headers',
    request({ method: 'GET', path: '/api/v1/status', headers: { cookie: 'a'.repeat(40_000) } }),
    431,
    'headers_too_large',
  ],
]

it('bad input gets its documented error over the wire and changes nothing', async () => {
  const mesh = await startTestMesh()
  const port = Number(new URL(mesh.api.url).port)
  // Registered again, by a process that came later: the first one's lease is lost.
  const lease = { ttl: '1h' }
  const first = await mesh.api.register('payments', 'payments-1', { ...good, lease })
  const { body } = await mesh.api.register('payments', 'payments-1', { ...good, lease, version: 'v2' })
  expect(body.incarnation).toBeGreaterThan(first.body.incarnation)
  const before = { services: await mesh.api.services(), log: await mesh.api.changes() }

  for (const [name, bytes, status, code] of cases(first.body.incarnation)) {
    const answer = await exchange(port, bytes)
    expect({ name, status: answer.status, code: answer.problem.code }).toEqual({ name, status, code })
    expect(answer.type, name).toMatch(/^application\/problem\+json/)
    expect(answer.problem.status, name).toBe(status)
  }

  expect(await mesh.api.services()).toEqual(before.services)
  expect(await mesh.api.changes()).toEqual(before.log)
  expect((await mesh.api.instance('payments', 'payments-1')).verdict).toBe('healthy')
})
