import { expect, test } from 'vitest'
import { createLogger } from './logger.ts'

const capture = () => {
  const lines: Record<string, unknown>[] = []
  const destination = {
    write: (line: string) => {
      lines.push(JSON.parse(line) as Record<string, unknown>)
    },
  }
  return { lines, destination }
}

test('a line is JSON with level, time, replica, fields and message', () => {
  const { lines, destination } = capture()
  createLogger({ level: 'info', replicaId: 'r1', destination }).info({ revision: 7 }, 'applied')
  expect(lines).toEqual([
    {
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
      replica: 'r1',
      revision: 7,
      msg: 'applied',
    },
  ])
})

test('lines below the level are not written, silent writes none', () => {
  const { lines, destination } = capture()
  const logger = createLogger({ level: 'warn', replicaId: 'r1', destination })
  logger.debug({}, 'a')
  logger.info({}, 'b')
  logger.warn({}, 'c')
  createLogger({ level: 'silent', replicaId: 'r1', destination }).error({}, 'd')
  expect(lines.map(line => line['msg'])).toEqual(['c'])
})

test('credentials do not reach the log: by key, inside of texts, in errors and in the fields of a child', () => {
  const { lines, destination } = capture()
  const secret = 'hunter2'
  const url = `postgres://waymark:${secret}@db:5432/mesh`
  const error = new Error(`connect to ${url} failed`, { cause: new Error(`password=${secret} refused`) })
  Object.assign(error, { client: { connectionString: url }, code: '28P01' })
  const logger = createLogger({ level: 'debug', replicaId: 'r1', destination }).child({
    databaseUrl: url,
    url,
  })
  logger.error({ error, nested: { list: [url], webhookSecret: secret, authorization: secret } }, 'lost')
  logger.debug({ deep: { deep: { deep: url } } }, 'again')
  expect(JSON.stringify(lines)).not.toContain(secret)
  expect(lines[0]).toMatchObject({
    databaseUrl: '[redacted]',
    url: 'postgres://[redacted]@db:5432/mesh',
    error: { type: 'Error', code: '28P01', message: 'connect to postgres://[redacted]@db:5432/mesh failed' },
  })
})

test('a cyclic or very wide object costs one bounded line', () => {
  const { lines, destination } = capture()
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  const wide = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`k${index}`, index]))
  createLogger({ level: 'info', replicaId: 'r1', destination }).info({ cycle, wide, big: 1n }, 'odd')
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatchObject({ big: '1' })
  expect(JSON.stringify(lines[0]).length).toBeLessThan(5_000)
})
