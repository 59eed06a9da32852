import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { Registry } from '../src/registry/registry.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { silentLogger } from '../src/runtime/logger.ts'
import { Sequencer } from '../src/store/sequencer.ts'
import { createTestDatabase } from './support/database.ts'
import { context, instanceSpec } from './support/specs.ts'

/** Stands before Postgres and breaks the first connections with a reset as soon as a query comes through. */
const startBreaker = async (
  port: number,
  breaks: number,
): Promise<{ port: number; broken: () => number }> => {
  let broken = 0
  const sockets = new Set<Socket>()
  const server = createServer(incoming => {
    const outgoing = connect(port, '127.0.0.1')
    for (const socket of [incoming, outgoing]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
    }
    incoming.on('data', data => {
      if (data.includes('pg_backend_pid') && broken < breaks) {
        broken += 1
        incoming.resetAndDestroy()
        outgoing.destroy()
      } else outgoing.write(data)
    })
    outgoing.pipe(incoming)
    incoming.on('close', () => outgoing.destroy())
  })
  await new Promise<void>(resolve => {
    server.listen(0, '127.0.0.1', resolve)
  })
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, broken: () => broken }
}

it('a connection that breaks while it is being opened costs the writes that wait, not the process', async () => {
  const test = await createTestDatabase()
  onTestFinished(() => test.destroy())
  const url = new URL(test.connection.url)
  const breaker = await startBreaker(Number(url.port), 2)
  url.port = String(breaker.port)
  const sequencer = new Sequencer({
    connection: { ...test.connection, url: url.href },
    clock: systemClock,
    logger: silentLogger,
    random: Math.random,
    onCommitted: () => undefined,
  })
  const abort = new AbortController()
  const running = sequencer.start(abort.signal)
  onTestFinished(async () => {
    abort.abort()
    await running
  })
  const registry = new Registry(sequencer)
  const register = () => registry.register({ service: 'a', id: 'x', spec: instanceSpec() }, context)
  await expect
    .poll(() => register().then(({ result }) => result.created, String), { timeout: 15_000 })
    .toBe(true)
  expect(breaker.broken()).toBe(2)
})
