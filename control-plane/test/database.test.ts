import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { sql } from 'kysely'
import { expect, it } from 'vitest'
import { silentLogger } from '../src/runtime/logger.ts'
import { openDatabase } from '../src/store/database.ts'
import { createTestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'

it('survives a connection that breaks under a query', async () => {
  const test = await createTestDatabase()
  const url = new URL(test.connection.url)
  const target = { host: url.hostname, port: Number(url.port) }
  const sockets: Socket[] = []
  const proxy = createServer(socket => {
    const upstream = connect(target)
    socket.pipe(upstream).pipe(socket)
    for (const end of [socket, upstream]) end.on('error', () => undefined)
    sockets.push(socket, upstream)
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  url.port = String((proxy.address() as AddressInfo).port)
  url.hostname = '127.0.0.1'
  const database = openDatabase({
    url: url.href,
    applicationName: 'cut',
    connections: 1,
    logger: silentLogger,
  })
  const query = sql`select pg_sleep(60)`.execute(database)
  // An unhandled error event would fail the run, as it would end the process.
  const rejected = expect(query).rejects.toThrow('Connection terminated')
  await eventually(async () => {
    const { rows } = await sql`select 1 from pg_stat_activity
      where application_name = 'cut' and query like 'select pg_sleep%'`.execute(test.database)
    expect(rows).toHaveLength(1)
  })
  for (const socket of sockets) socket.destroy()
  await rejected
  expect((await sql`select 1 as one`.execute(database)).rows).toEqual([{ one: 1 }])
  await database.destroy()
  await sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'cut'`.execute(
    test.database,
  )
  await new Promise(resolve => {
    proxy.close(resolve)
  })
  await test.destroy()
})
