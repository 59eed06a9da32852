import { createServer, type Server } from 'node:net'
import { once } from 'node:events'
import fc from 'fast-check'
import { afterEach, expect, test, vi } from 'vitest'
import { hostPort } from '@waymark/sidecar-config/model/host-port.ts'
import { chooseListen, freePort, freePorts, isPortFree, parseListen } from './ports.ts'

const servers: Server[] = []
afterEach(() => {
  vi.unstubAllEnvs()
  for (const server of servers.splice(0)) server.close()
})

const occupy = async (): Promise<number> => {
  const port = await freePort()
  const server = createServer().listen(port, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return port
}

test('reads what it writes', () => {
  const hosts = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain())
  fc.assert(
    fc.property(hosts, fc.nat(65_535), (host, port) => {
      expect(parseListen(hostPort({ host, port }))).toEqual({ host, port })
    }),
  )
})

test.each(['', '7400', 'host:', 'host:x', 'host:65536', '::1:7400', 'a b:1', 'http://x:1'])(
  '%j is no listen address',
  text => {
    expect(parseListen(text)).toBeNull()
  },
)

test('without a host, all addresses are meant', () => {
  expect(parseListen(':7400')).toEqual({ host: '0.0.0.0', port: 7_400 })
})

test('free ports are free, different, and below the range of outgoing connections', async () => {
  const ports = await freePorts(20)
  expect(new Set(ports).size).toBe(20)
  for (const port of ports) {
    expect(port).toBeLessThan(32_768)
    expect(await isPortFree({ host: '127.0.0.1', port })).toBe(true)
  }
})

test('a preferred port is taken when it is free, and not when it is busy or to be avoided', async () => {
  const busy = await occupy()
  expect(await isPortFree({ host: '127.0.0.1', port: busy })).toBe(false)
  expect(await freePort({ preferred: busy })).not.toBe(busy)
  const free = await freePort()
  expect(await freePort({ preferred: free })).toBe(free)
  expect(await freePort({ preferred: free, avoid: new Set([free]) })).not.toBe(free)
})

test('a default that is taken is replaced, and said so', async () => {
  const port = await occupy()
  const notes: string[] = []
  const chosen = await chooseListen({
    variable: 'WAYMARK_HTTP_LISTEN',
    value: undefined,
    fallback: { host: '127.0.0.1', port },
    onNote: note => notes.push(note),
  })
  expect(chosen.port).not.toBe(port)
  expect(notes).toEqual([expect.stringContaining(`port ${port} is taken: using ${chosen.port}`)])
})

test('a port that the user set is used, or refused by name', async () => {
  const [busy, free] = [await occupy(), await freePort()]
  const choose = (value: string): Promise<unknown> =>
    chooseListen({
      variable: 'WAYMARK_XDS_LISTEN',
      value,
      fallback: { host: '127.0.0.1', port: 1 },
      onNote: () => undefined,
    })
  expect(await choose(`127.0.0.1:${free}`)).toEqual({ host: '127.0.0.1', port: free })
  await expect(choose(`127.0.0.1:${busy}`)).rejects.toThrow(
    `WAYMARK_XDS_LISTEN asks for 127.0.0.1:${busy}, but port ${busy} is taken.`,
  )
  await expect(choose('here')).rejects.toThrow('WAYMARK_XDS_LISTEN is "here"')
})

test('a range that is set is kept to, and what is no range is refused', async () => {
  vi.stubEnv('WAYMARK_PORTS', '21000-21010')
  for (const port of await freePorts(5)) {
    expect(port).toBeGreaterThanOrEqual(21_000)
    expect(port).toBeLessThan(21_010)
  }
  for (const range of ['21000', '21010-21000', '80-90', '21000-99999', 'all']) {
    vi.stubEnv('WAYMARK_PORTS', range)
    await expect(freePort()).rejects.toThrow('no range of ports')
  }
})
