/** Probes over TLS, and of gRPC health, against real servers. */
import { Server as GrpcServer, ServerCredentials, type UntypedHandleCall } from '@grpc/grpc-js'
import { createServer as createHttpServer } from 'node:http'
import { createSecureServer, createServer as createHttp2Server } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { createServer as createTlsServer, TLSSocket } from 'node:tls'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import type {
  CheckSpec,
  CheckTls,
  GrpcCheckSpec,
  HttpCheckSpec,
  TcpCheckSpec,
} from '@waymark/sidecar-config/model/check.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { TestAuthority, type TestCertificate } from '../src/xds/testing/test-certificates.ts'
import { AddressPolicy } from '../src/health/checks/address-policy.ts'
import { createProbe } from '../src/health/checks/probe.ts'

const timing = { intervalMs: 1_000, timeoutMs: 5_000, healthyThreshold: 1, unhealthyThreshold: 1, port: null }
const http = (overrides: Partial<HttpCheckSpec> = {}): HttpCheckSpec => ({
  kind: 'http',
  ...timing,
  method: 'GET',
  path: '/healthz',
  host: null,
  headers: {},
  expect: [[200, 299]],
  ...overrides,
})
const tcp = (overrides: Partial<TcpCheckSpec> = {}): TcpCheckSpec => ({
  kind: 'tcp',
  ...timing,
  ...overrides,
})
const grpc = (overrides: Partial<GrpcCheckSpec> = {}): GrpcCheckSpec => ({
  kind: 'grpc',
  ...timing,
  service: '',
  host: null,
  ...overrides,
})
const tls = (overrides: Partial<CheckTls> = {}): CheckTls => ({
  serverName: null,
  ca: authority.pem,
  skipVerify: false,
  ...overrides,
})

let authority: TestAuthority
let leaf: TestCertificate
const closers: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  authority = await TestAuthority.create()
  leaf = await authority.issue({ dns: ['payments.test'], ips: ['127.0.0.1'] })
})

afterEach(async () => {
  // Waits for every connection: a probe that left one open would hang here.
  await Promise.all(closers.splice(0).map(close => close()))
})

const listen = async (server: Server): Promise<number> => {
  closers.push(
    () =>
      new Promise(resolve => {
        server.close(resolve)
      }),
  )
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}
const pair = (of: TestCertificate) => ({ cert: of.certificate, key: of.key })
const probe = createProbe({ policy: new AddressPolicy(), clock: systemClock })
const run = (check: CheckSpec, port: number, signal = new AbortController().signal) =>
  probe(check, { address: '127.0.0.1', port }, signal)

describe('an HTTPS probe', () => {
  const serve = (of: TestCertificate, names: string[] = []) =>
    listen(
      createHttpsServer(pair(of), (request, response) => {
        const { servername } = request.socket as { servername?: string | false }
        names.push(servername === undefined || servername === false ? '' : servername)
        response.end('ok')
      }),
    )

  it('passes when the certificate is for the address, and sends no name then', async () => {
    const names: string[] = []
    const port = await serve(leaf, names)
    expect(await run(http({ tls: tls() }), port)).toEqual({
      ok: true,
      output: 'GET /healthz: 200',
      timedOut: false,
    })
    expect(names).toEqual([''])
  })

  it('asks for the name it is given, else for that of the host', async () => {
    const names: string[] = []
    const port = await serve(leaf, names)
    expect(await run(http({ tls: tls({ serverName: 'payments.test' }) }), port)).toMatchObject({ ok: true })
    expect(await run(http({ tls: tls(), host: 'payments.test:443' }), port)).toMatchObject({ ok: true })
    expect(names).toEqual(['payments.test', 'payments.test'])
  })

  it('fails for a certificate of another name, of an unknown root, or that is over', async () => {
    const other = await serve(await authority.issue({ dns: ['other.test'] }))
    expect((await run(http({ tls: tls() }), other)).output).toContain("does not match certificate's altnames")
    const stranger = await TestAuthority.create('Stranger')
    const unknown = await serve(await stranger.issue({ ips: ['127.0.0.1'] }))
    expect(await run(http({ tls: tls() }), unknown)).toMatchObject({ ok: false })
    expect(await run(http({ tls: tls({ ca: null }) }), unknown)).toMatchObject({ ok: false })
    const expired = await serve(await authority.issue({ ips: ['127.0.0.1'], expired: true }))
    expect((await run(http({ tls: tls() }), expired)).output).toContain('expired')
  })

  it('takes any certificate only where it is told to', async () => {
    const stranger = await TestAuthority.create('Stranger')
    const port = await serve(await stranger.issue({ dns: ['other.test'] }))
    expect(await run(http({ tls: tls({ skipVerify: true }) }), port)).toMatchObject({ ok: true })
  })

  it('answers a server that asks for a certificate, when the check says so', async () => {
    const options = { ...pair(leaf), ca: authority.pem, requestCert: true, rejectUnauthorized: true }
    const shown: string[] = []
    const port = await listen(
      createHttpsServer(options, (request, response) => {
        const { socket } = request
        if (socket instanceof TLSSocket) shown.push(socket.getPeerCertificate().subjectaltname ?? '')
        response.end('ok')
      }),
    )
    const issue = async (name: string) => {
      const { certificate, key } = await authority.issue({ dns: [name] })
      return { cert: Buffer.from(certificate), key: Buffer.from(key) }
    }
    const identity = { value: await issue('first.test') }
    const known = createProbe({ policy: new AddressPolicy(), identity, clock: systemClock })
    const target = { address: '127.0.0.1', port }
    const check = http({ tls: tls({ clientCertificate: true }) })
    const { signal } = new AbortController()
    expect(await known(check, target, signal)).toMatchObject({ ok: true })
    // The files of the control plane have changed.
    identity.value = await issue('second.test')
    expect(await known(check, target, signal)).toMatchObject({ ok: true })
    expect(shown).toEqual(['DNS:first.test', 'DNS:second.test'])

    expect(await known(http({ tls: tls() }), target, signal)).toMatchObject({ ok: false })
    const without = await run(check, port)
    expect(without).toMatchObject({ ok: false })
    expect(without.output).toContain('this replica has none: WAYMARK_CHECK_TLS_CERT')
    expect(shown).toHaveLength(2)
  })

  it('says what is wrong when the server speaks no TLS, or the check none', async () => {
    const plain = await listen(createHttpServer((_, response) => response.end()))
    expect(await run(http({ tls: tls() }), plain)).toMatchObject({ ok: false })
    const secure = await serve(leaf)
    expect(await run(http(), secure)).toMatchObject({ ok: false })
  })
})

describe('the body of an HTTP probe', () => {
  const serve = (answer: (path: string) => string | Buffer) =>
    listen(
      createHttpServer((request, response) => {
        response.end(answer(request.url ?? ''))
      }),
    )

  it('passes when the expression is found, and is not looked at when the status is wrong', async () => {
    const port = await serve(path => (path === '/up' ? '{"status": "up"}' : '{"status": "down"}'))
    const body = '"status":\\s*"(up|ok)"'
    expect(await run(http({ path: '/up', body }), port)).toEqual({
      ok: true,
      output: 'GET /up: 200, the body matches',
      timedOut: false,
    })
    expect(await run(http({ path: '/down', body }), port)).toMatchObject({
      ok: false,
      output: 'GET /down: 200, the body does not match',
    })
    expect((await run(http({ path: '/up', body, expect: [[500, 500]] }), port)).output).toBe('GET /up: 200')
  })

  it('is searched up to its limit', async () => {
    const port = await serve(path => `${'x'.repeat(Number(path.slice(1)))}found`)
    expect(await run(http({ path: '/16379', body: 'found' }), port)).toMatchObject({ ok: true })
    expect(await run(http({ path: '/16380', body: 'found' }), port)).toMatchObject({ ok: false })
    expect(await run(http({ path: '/5000000', body: 'found' }), port)).toMatchObject({ ok: false })
  })

  it('has to come in time, and whole', async () => {
    const port = await listen(
      createHttpServer((request, response) => {
        response.writeHead(200, { 'content-length': 100 }).write('some')
        if (request.url === '/broken') response.destroy()
      }),
    )
    expect(await run(http({ body: 'some', timeoutMs: 50 }), port)).toMatchObject({
      ok: false,
      timedOut: true,
    })
    expect(await run(http({ path: '/broken', body: 'some' }), port)).toMatchObject({
      ok: false,
      timedOut: false,
    })
  })
})

describe('a TCP probe over TLS', () => {
  it('passes once the server has proved who it is', async () => {
    const port = await listen(createTlsServer(pair(leaf), socket => socket.on('error', () => undefined)))
    expect(await run(tcp({ tls: tls() }), port)).toEqual({
      ok: true,
      output: `connect to port ${port}: TLS established`,
      timedOut: false,
    })
    expect(await run(tcp({ tls: tls({ serverName: 'other.test' }) }), port)).toMatchObject({ ok: false })
  })

  it('gives up on a server that never shakes hands', async () => {
    const port = await listen(createServer(socket => socket.resume()))
    expect(await run(tcp({ tls: tls(), timeoutMs: 50 }), port)).toMatchObject({ ok: false, timedOut: true })
  })
})

describe('a gRPC probe', () => {
  /** grpc.health.v1 by the library, with the messages as bytes: 08 01 is SERVING. */
  const serve = async (
    answer: (asked: string) => Buffer | { code: number },
    credentials = ServerCredentials.createInsecure(),
  ): Promise<number> => {
    const server = new GrpcServer()
    const check: UntypedHandleCall = (
      call: { request: Buffer },
      reply: (error: { code: number } | null, value?: Buffer) => void,
    ) => {
      // Field 1, a string: tag, length, text.
      const said = answer(call.request.subarray(2).toString())
      if (Buffer.isBuffer(said)) reply(null, said)
      else reply(said)
    }
    const bytes = (value: Buffer): Buffer => value
    server.addService(
      {
        Check: {
          path: '/grpc.health.v1.Health/Check',
          requestStream: false,
          responseStream: false,
          requestSerialize: bytes,
          requestDeserialize: bytes,
          responseSerialize: bytes,
          responseDeserialize: bytes,
        },
      },
      { Check: check },
    )
    closers.push(
      () =>
        new Promise<void>(resolve => {
          server.tryShutdown(() => {
            resolve()
          })
        }),
    )
    return new Promise((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', credentials, (error, port) => {
        if (error === null) resolve(port)
        else reject(error)
      })
    })
  }
  const status = (code: number): Buffer => Buffer.from(code === 0 ? [] : [8, code])

  it('passes when the service that it asks for is SERVING', async () => {
    const asked: string[] = []
    const port = await serve(service => {
      asked.push(service)
      return service === 'down' ? status(2) : status(1)
    })
    expect(await run(grpc(), port)).toEqual({ ok: true, output: 'grpc health: SERVING', timedOut: false })
    expect(await run(grpc({ service: 'payments.v1.Payments' }), port)).toMatchObject({ ok: true })
    expect(await run(grpc({ service: 'down' }), port)).toEqual({
      ok: false,
      output: 'grpc health of down: NOT_SERVING',
      timedOut: false,
    })
    expect(asked).toEqual(['', 'payments.v1.Payments', 'down'])
  })

  it.each([
    [status(0), 'UNKNOWN'],
    [status(3), 'SERVICE_UNKNOWN'],
    [status(77), 'status 77'],
    [{ code: 5 }, 'NOT_FOUND, the server does not know this service'],
    [{ code: 13 }, 'gRPC status 13'],
    [Buffer.from([8]), 'an answer that is no HealthCheckResponse'],
    [Buffer.alloc(5_000), 'an answer of more than 1024 bytes'],
  ])('fails on %j', async (answer, words) => {
    const port = await serve(() => answer)
    const result = await run(grpc(), port)
    expect(result.ok).toBe(false)
    expect(result.output).toContain(words)
  })

  it('says when there is no health service, no gRPC, or no HTTP/2', async () => {
    const server = new GrpcServer()
    closers.push(() => {
      server.forceShutdown()
      return Promise.resolve()
    })
    const port = await new Promise<number>(resolve => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_, bound) => {
        resolve(bound)
      })
    })
    expect((await run(grpc(), port)).output).toContain('UNIMPLEMENTED, the server has no health service')
    const web = await listen(createHttp2Server((_, response) => response.end('hello')))
    expect((await run(grpc(), web)).output).toContain('an answer without a gRPC status')
    const missing = await listen(createHttp2Server((_, response) => response.writeHead(404).end()))
    expect((await run(grpc(), missing)).output).toContain('HTTP status 404')
    const old = await listen(createHttpServer((_, response) => response.end()))
    expect(await run(grpc(), old)).toMatchObject({ ok: false })
    const babble = await listen(
      createServer(socket => {
        socket.on('error', () => undefined)
        socket.resume()
        socket.end('SSH-2.0-OpenSSH\r\n')
      }),
    )
    expect(await run(grpc(), babble)).toMatchObject({ ok: false })
  })

  it('speaks TLS with HTTP/2 agreed on', async () => {
    const credentials = ServerCredentials.createSsl(null, [
      { cert_chain: Buffer.from(leaf.certificate), private_key: Buffer.from(leaf.key) },
    ])
    const port = await serve(() => status(1), credentials)
    expect(await run(grpc({ tls: tls() }), port)).toMatchObject({ ok: true })
    expect(await run(grpc({ tls: tls(), host: 'payments.test' }), port)).toMatchObject({ ok: true })
    expect(await run(grpc({ tls: tls(), host: 'other.test' }), port)).toMatchObject({ ok: false })
  })

  it('gives up in time, whatever the server does', async () => {
    const silent = await listen(createHttp2Server(() => undefined))
    expect(await run(grpc({ timeoutMs: 50 }), silent)).toMatchObject({ ok: false, timedOut: true })
    const secure = await listen(createSecureServer(pair(leaf), () => undefined))
    expect(await run(grpc({ timeoutMs: 100, tls: tls() }), secure)).toMatchObject({
      ok: false,
      timedOut: true,
    })
    const stop = new AbortController()
    const running = run(grpc({ timeoutMs: 60_000 }), silent, stop.signal)
    stop.abort()
    expect(await running).toMatchObject({ ok: false, timedOut: false })
  })
})
