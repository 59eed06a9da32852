import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { HttpCheckSpec, TcpCheckSpec } from '@waymark/sidecar-config/model/check.ts'
import { systemClock } from '../../runtime/clock.ts'
import { AddressPolicy, defaultDeniedCidrs } from './address-policy.ts'
import { createProbe } from './probe.ts'

const http = (overrides: Partial<HttpCheckSpec> = {}): HttpCheckSpec => ({
  kind: 'http',
  intervalMs: 1_000,
  timeoutMs: 5_000,
  healthyThreshold: 1,
  unhealthyThreshold: 1,
  port: null,
  method: 'GET',
  path: '/healthz',
  host: null,
  headers: {},
  expect: [[200, 299]],
  ...overrides,
})
const tcp: TcpCheckSpec = {
  kind: 'tcp',
  intervalMs: 1_000,
  timeoutMs: 5_000,
  healthyThreshold: 1,
  unhealthyThreshold: 1,
  port: null,
}

const servers: Server[] = []
const listen = async (server: Server, host = '127.0.0.1'): Promise<number> => {
  servers.push(server)
  await new Promise<void>(resolve => server.listen(0, host, resolve))
  return (server.address() as AddressInfo).port
}
const serve = (handle: RequestListener): Promise<number> => listen(createHttpServer(handle))
/** A server that says one thing to everybody who connects, and closes when the other side does. */
const say = (text: string): Promise<number> =>
  listen(
    createServer(socket => {
      socket.on('error', () => undefined)
      socket.resume()
      socket.write(text)
    }),
  )
const probe = createProbe({ policy: new AddressPolicy(), clock: systemClock })
const never = new AbortController().signal
const run = (check: HttpCheckSpec | TcpCheckSpec, port: number, signal = never) =>
  probe(check, { address: '127.0.0.1', port }, signal)

afterEach(async () => {
  // Waits for every connection: a probe that left one open would hang here.
  await Promise.all(
    servers.splice(0).map(
      server =>
        new Promise(resolve => {
          server.close(resolve)
        }),
    ),
  )
})

describe('an HTTP probe', () => {
  it('asks as it is told to', async () => {
    const seen: unknown[] = []
    const port = await serve((request, response) => {
      const { method, url, headers } = request
      seen.push({ method, url, host: headers.host, agent: headers['user-agent'], token: headers['x-token'] })
      response.end()
    })
    await run(http(), port)
    await run(
      http({ method: 'HEAD', path: '/a?b=c', host: 'orders.mesh', headers: { 'x-token': 't' } }),
      port,
    )
    expect(seen).toEqual([
      { method: 'GET', url: '/healthz', host: `127.0.0.1:${port}`, agent: 'waymark-check', token: undefined },
      { method: 'HEAD', url: '/a?b=c', host: 'orders.mesh', agent: 'waymark-check', token: 't' },
    ])
  })

  it('passes for the expected statuses only', async () => {
    const port = await serve((request, response) => {
      response.statusCode = Number(request.url?.slice(1))
      response.end('body')
    })
    const status = async (code: number, expect?: HttpCheckSpec['expect']) =>
      run(http({ path: `/${code}`, ...(expect === undefined ? {} : { expect }) }), port)
    expect(await status(204)).toEqual({ ok: true, output: 'GET /204: 204', timedOut: false })
    expect(await status(503)).toEqual({ ok: false, output: 'GET /503: 503', timedOut: false })
    const ranges = [
      [200, 200],
      [429, 429],
    ] as const
    expect((await status(429, ranges)).ok).toBe(true)
    expect((await status(201, ranges)).ok).toBe(false)
  })

  it('does not follow a redirect: it is an answer like any other', async () => {
    const paths: unknown[] = []
    const port = await serve((request, response) => {
      paths.push(request.url)
      response.writeHead(302, { location: '/elsewhere' }).end()
    })
    expect(await run(http(), port)).toMatchObject({ ok: false, output: 'GET /healthz: 302' })
    expect(await run(http({ expect: [[300, 399]] }), port)).toMatchObject({ ok: true })
    expect(paths).toEqual(['/healthz', '/healthz'])
  })

  it('gives up on a server that never answers', async () => {
    const port = await serve(() => undefined)
    expect(await run(http({ timeoutMs: 50 }), port)).toEqual({
      ok: false,
      output: 'GET /healthz: no answer within 50 ms',
      timedOut: true,
    })
  })

  it('takes the status of a server that never ends its body, and drops the connection', async () => {
    const port = await serve((_, response) => {
      response.write('some')
    })
    expect(await run(http({ timeoutMs: 1_000 }), port)).toMatchObject({
      ok: true,
      output: 'GET /healthz: 200',
    })
  })

  it('reads no more than a little of a huge body', async () => {
    let written = 0
    const closed = Promise.withResolvers<undefined>()
    const port = await serve((_, response) => {
      const chunk = Buffer.alloc(65_536)
      const write = (): void => {
        while (!response.destroyed && response.write(chunk)) written += chunk.length
      }
      response.on('drain', write)
      response.on('close', () => {
        closed.resolve(undefined)
      })
      write()
    })
    expect(await run(http(), port)).toMatchObject({ ok: true, timedOut: false })
    await closed.promise
    // What kernel buffers take, far less than an endless body.
    expect(written).toBeLessThan(64 * 1_048_576)
  })

  it('names the reason of a failure', async () => {
    const port = await listen(
      createServer(socket => {
        socket.destroy()
      }),
    )
    expect((await run(http(), port)).output).toContain('ECONNRESET')
    const babble = await say('SSH-2.0-OpenSSH\r\n')
    expect(await run(http(), babble)).toMatchObject({ ok: false })
    const headers = await say(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)
    expect((await run(http(), headers)).output).toContain('HPE_HEADER_OVERFLOW')
    expect((await run(http({ path: '/with space' }), port)).output).toContain('unescaped characters')
  })

  it('takes the status of a switch of protocols', async () => {
    const port = await say('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n')
    expect(await run(http(), port)).toMatchObject({ ok: false, output: 'GET /healthz: 101' })
  })

  it('ends at once when it is aborted', async () => {
    const arrived = Promise.withResolvers<undefined>()
    const port = await serve(() => {
      arrived.resolve(undefined)
    })
    const stop = new AbortController()
    const running = run(http({ timeoutMs: 60_000 }), port, stop.signal)
    await arrived.promise
    stop.abort()
    expect(await running).toMatchObject({ ok: false, timedOut: false })
    expect(await run(http(), port, AbortSignal.abort())).toMatchObject({ ok: false })
  })
})

describe('a TCP probe', () => {
  it('passes when the connection is accepted', async () => {
    const port = await listen(createServer(socket => socket.resume()))
    expect(await run(tcp, port)).toEqual({
      ok: true,
      output: `connect to port ${port}: accepted`,
      timedOut: false,
    })
  })

  it('fails when nothing listens', async () => {
    const server = createServer()
    const port = await listen(server)
    await new Promise(resolve => {
      server.close(resolve)
    })
    expect(await run(tcp, port)).toEqual({
      ok: false,
      output: `connect to port ${port}: ECONNREFUSED, nothing listens there`,
      timedOut: false,
    })
  })
})

describe('denied addresses', () => {
  const policy = new AddressPolicy()
  it.each([
    '169.254.169.254',
    'fe80::1',
    'fd00:ec2::254',
    '::ffff:169.254.169.254',
    '64:ff9b::a9fe:a9fe',
    '100.100.100.200',
    '224.0.0.1',
    'ff02::1',
    'localhost',
    'metadata.google.internal',
    '',
    '127.0.0.1 ',
    '2852039166',
  ])('%s is not probed', address => {
    expect(policy.allows(address)).toBe(false)
  })

  it.each(['127.0.0.1', '::1', '10.0.0.1', '192.168.1.1', 'fd00::1', '2001:db8::1', '8.8.8.8'])(
    '%s is probed',
    address => {
      expect(policy.allows(address)).toBe(true)
    },
  )

  it('fail without a connection', async () => {
    let connections = 0
    const port = await listen(
      createServer(socket => {
        connections += 1
        socket.destroy()
      }),
    )
    const strict = createProbe({
      policy: new AddressPolicy([...defaultDeniedCidrs, '127.0.0.0/8']),
      clock: systemClock,
    })
    expect(await strict(http(), { address: '127.0.0.1', port }, never)).toEqual({
      ok: false,
      output: '127.0.0.1 is not probed: this control plane denies checks of it',
      timedOut: false,
    })
    expect(connections).toBe(0)
  })

  it('are configured as CIDRs or single addresses', () => {
    expect(new AddressPolicy([]).allows('169.254.169.254')).toBe(true)
    expect(new AddressPolicy(['10.1.2.3']).allows('10.1.2.3')).toBe(false)
    for (const wrong of ['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', 'example.com', 'fe80::/129', '/8', '']) {
      expect(() => new AddressPolicy([wrong])).toThrow(RangeError)
    }
  })
})
