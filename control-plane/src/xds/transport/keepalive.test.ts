import { once } from 'node:events'
import { connect, createServer, type ClientHttp2Session, type ServerHttp2Session } from 'node:http2'
import { connect as connectTcp, type AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ManualClock } from '../../../test/support/manual-clock.ts'
import { Keepalive } from './keepalive.ts'

const keepaliveMs = 30_000
const keepaliveTimeoutMs = 20_000

let clock: ManualClock
let keepalive: Keepalive
let server: ReturnType<typeof createServer>
let client: ClientHttp2Session
let session: ServerHttp2Session
let pings: number

beforeEach(async () => {
  clock = new ManualClock()
  keepalive = new Keepalive({ clock, keepaliveMs, keepaliveTimeoutMs })
  server = createServer()
  server.on('stream', stream => {
    stream.respond({ ':status': 200 }, { endStream: true })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const accepted = once(server, 'session') as Promise<[ServerHttp2Session]>
  client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  client.on('error', () => undefined)
  pings = 0
  client.on('ping', () => (pings += 1))
  ;[session] = await accepted
  keepalive.follow(session)
  await request()
  // What the request brought is seen here.
  await keepalive.step()
})

afterEach(async () => {
  client.destroy()
  session.destroy()
  await new Promise(resolve => server.close(resolve))
})

const request = async (): Promise<void> => {
  const stream = client.request({ ':path': '/' })
  stream.resume()
  await once(stream, 'close')
}

const silentFor = async (ms: number): Promise<void> => {
  await clock.advance(ms)
  await keepalive.step()
}

/** Until the answer to a ping, or to what came before it, has been read. */
const answered = (): Promise<unknown> =>
  new Promise(resolve => {
    session.ping(resolve)
  })

test('a silent client is pinged, and stays when it answers', async () => {
  await silentFor(keepaliveMs - 1)
  expect(pings).toBe(0)
  await silentFor(1)
  await answered()
  // The second one is that of this test.
  expect(pings).toBe(2)
  await silentFor(keepaliveTimeoutMs)
  expect(session.destroyed).toBe(false)
})

test('a client from which something has come is not pinged', async () => {
  await silentFor(keepaliveMs - 1)
  await request()
  await silentFor(1)
  await silentFor(keepaliveMs - 1)
  expect(pings).toBe(0)
  expect(session.destroyed).toBe(false)
})

test('a client that says nothing at all is closed in time, and not looked at any more', async () => {
  const accepted = once(server, 'session') as Promise<[ServerHttp2Session]>
  const socket = connectTcp((server.address() as AddressInfo).port, '127.0.0.1')
  // The preface and empty settings, as every client begins.
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]))
  const [silent] = await accepted
  await once(silent, 'remoteSettings')
  keepalive.follow(silent)
  const closed = once(silent, 'close')
  await keepalive.step()
  await silentFor(keepaliveMs)
  await silentFor(keepaliveTimeoutMs - 1)
  expect(silent.destroyed).toBe(false)
  await silentFor(1)
  await closed
  await silentFor(keepaliveMs)
  socket.destroy()
})
