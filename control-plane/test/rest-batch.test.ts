import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { defaultLimits, type RestLimits } from '../src/rest/limits.ts'
import type { BatchResultView } from '../src/rest/schemas/batch.ts'
import type { HeartbeatsAnswerView } from '../src/rest/schemas/instance.ts'
import type { ProblemView } from '../src/rest/schemas/problem.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { startRest, type TestRest } from './support/rest.ts'

let test: TestDatabase
let rest: TestRest
let url: string

beforeAll(async () => {
  test = await createTestDatabase()
  rest = await startRest(test)
  url = await rest.app.listen({ host: '127.0.0.1', port: 0 })
})

afterAll(async () => {
  await rest.stop()
  await test.destroy()
})

const line = (service: string, id: string, more: object = {}): string =>
  JSON.stringify({ service, id, address: '10.0.3.7', port: 8080, ...more })

const send = async (body: string, path = '/api/v1/instances:batch'): Promise<Response> =>
  fetch(`${url}${path}`, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, body })

const parseResults = (text: string): BatchResultView[] =>
  text
    .split('\n')
    .filter(result => result !== '')
    .map(result => JSON.parse(result) as BatchResultView)

const batch = async (...lines: readonly string[]): Promise<BatchResultView[]> => {
  const response = await send(`${lines.join('\n')}\n`)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('application/x-ndjson')
  return parseResults(await response.text())
}

describe('a batch', () => {
  it('registers every line, answers each in order, and changes nothing when it is repeated', async () => {
    const lines = Array.from({ length: 3_000 }, (_, index) => line(`many-${index % 7}`, `i-${index}`))
    const first = await batch(...lines)
    expect(first.map(result => result.line)).toEqual(lines.map((_, index) => index + 1))
    expect(new Set(first.map(({ status }) => status))).toEqual(new Set([201]))
    const revisions = first.map(({ revision = 0 }) => revision)
    expect(new Set(revisions).size).toBe(3_000)
    expect(Math.max(...revisions) - Math.min(...revisions)).toBe(2_999)
    const again = await batch(...lines)
    expect(again.map(({ status, changed, revision }) => [status, changed, revision])).toEqual(
      revisions.map(revision => [200, false, revision]),
    )
  })

  it('does what is right around what is wrong, and says of each line what is wrong', async () => {
    await batch(line('mixed', 'leaver'), line('mixed', 'drainer'))
    const results = await batch(
      line('mixed', 'a'),
      '',
      '{"service": "mixed"',
      line('mixed', 'b', { port: 0 }),
      line('mixed', 'c', { address: '0.0.0.0' }),
      line('mixed', 'd', { metadata: { a: '\u0000' } }),
      JSON.stringify({ op: 'deregister', service: 'mixed', id: 'leaver' }),
      JSON.stringify({ op: 'deregister', service: 'mixed', id: 'nobody' }),
      JSON.stringify({ op: 'deregister', service: 'mixed', id: 'drainer', drain: '30s' }),
      JSON.stringify({ op: 'deregister', service: 'mixed', id: 'drainer', drain: '30h' }),
      line('mixed', 'e', { op: 'explode' }),
      JSON.stringify({ service: 'mixed', id: 'long', address: 'x'.repeat(70_000) }),
      line('mixed', 'z', { op: 'register' }),
    )
    expect(results.map(result => [result.line, result.status, result.problem?.code])).toEqual([
      [1, 201, undefined],
      [3, 400, 'malformed_json'],
      [4, 400, 'invalid_request'],
      [5, 400, 'invalid_request'],
      [6, 400, 'invalid_request'],
      [7, 204, undefined],
      [8, 404, 'instance_not_found'],
      [9, 200, undefined],
      [10, 400, 'invalid_request'],
      [11, 400, 'invalid_request'],
      [12, 413, 'body_too_large'],
      [13, 201, undefined],
    ])
    expect(results[2]?.problem?.errors?.[0]).toMatchObject({ pointer: '/port' })
    expect(results[9]?.problem?.errors?.[0]).toMatchObject({
      pointer: '/op',
      accepted: '"register" (the default) or "deregister"',
    })
    await eventually(() => {
      expect([...(rest.replica.mesh.service('mixed')?.instances.keys() ?? [])].sort()).toEqual([
        'a',
        'drainer',
        'z',
      ])
    })
  })

  it('ends at the first line that is one too many', async () => {
    const lines = Array.from({ length: 10_001 }, () => '{}')
    const results = await batch(...lines)
    expect(results).toHaveLength(10_001)
    expect(results.at(-1)).toMatchObject({ line: 10_001, status: 413, problem: { code: 'body_too_large' } })
  })

  it('waits for nobody: a parameter is refused', async () => {
    const response = await send(line('waiting', 'a'), '/api/v1/instances:batch?wait=acked')
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ code: 'invalid_request', errors: [{ pointer: '?wait' }] })
    expect(rest.replica.mesh.service('waiting')).toBeUndefined()
  })

  it('is described, line and result', async () => {
    const description = await (await fetch(`${url}/openapi.json`)).json()
    expect(description).toMatchObject({
      paths: {
        '/api/v1/instances:batch': {
          post: {
            requestBody: {
              content: { 'application/x-ndjson': { schema: { $ref: '#/components/schemas/BatchLine' } } },
            },
          },
        },
      },
    })
  })
})

describe('a batch whose results nobody reads', () => {
  it('keeps nobody from being served, and leaves its place when its client goes', async () => {
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port) })
    socket.pause()
    const wrong = `${JSON.stringify({ service: 'x'.repeat(10_000), id: 'a' })}\n`.repeat(1_500)
    socket.write(
      `POST /api/v1/instances:batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n` +
        `content-length: ${Buffer.byteLength(wrong)}\r\n\r\n`,
    )
    socket.write(wrong)
    const [result] = await batch(line('served', 'a'))
    expect(result?.status).toBe(201)
    socket.destroy()
    // The place of the one that went is free again: four more are taken at once.
    await eventually(async () => {
      const four = await Promise.all(
        Array.from({ length: 4 }, (_, index) => send(line('served', `b-${index}`))),
      )
      expect(four.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    })
  })
})

describe('a batch that takes its time', () => {
  let hurried: TestRest
  let client: Socket
  /** What the client has got, without the sizes of the chunks. */
  let answer: string

  const begin = async (limits: Partial<RestLimits>): Promise<void> => {
    hurried = await startRest(test, { limits: { ...defaultLimits, requestTimeoutMs: 1_500, ...limits } })
    const address = new URL(await hurried.app.listen({ host: '127.0.0.1', port: 0 }))
    client = connect({ host: '127.0.0.1', port: Number(address.port) })
    client.on('error', () => undefined)
    answer = ''
    client.on('data', (chunk: Buffer) => (answer += chunk.toString()))
    client.write(
      'POST /api/v1/instances:batch HTTP/1.1\r\nhost: localhost\r\n' +
        'content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n',
    )
  }
  const chunk = (text: string): void => {
    client.write(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`)
  }
  const resultsOf = (): BatchResultView[] =>
    parseResults(
      answer
        .split('\n')
        .filter(text => text.startsWith('{'))
        .join('\n'),
    )
  afterEach(async () => {
    client.destroy()
    await hurried.stop()
  })

  it('is answered whole, however long that takes, as long as it goes on', async () => {
    await begin({})
    // More than the time between two lines in all, and far less each.
    for (let index = 0; index < 6; index += 1) {
      chunk(`${line('patient', `i-${index}`)}\n`)
      await eventually(() => {
        expect(resultsOf()).toHaveLength(index + 1)
      })
      await systemClock.sleep(400)
    }
    client.write('0\r\n\r\n')
    await eventually(() => {
      expect(answer).toMatch(/\r\n0\r\n\r\n$/)
    })
    expect(resultsOf().map(({ status }) => status)).toEqual(Array(6).fill(201))
  })

  it('ends with a result that says so when the next lines do not come, and with it the connection', async () => {
    await begin({})
    const closed = once(client, 'close')
    chunk(`${line('impatient', 'a')}\n${line('impatient', 'b')}\n`)
    await closed
    expect(resultsOf()).toMatchObject([
      { line: 1, status: 201 },
      { line: 2, status: 201 },
      { line: 3, status: 408, problem: { code: 'request_timeout' } },
    ])
  })

  it('is given up when nobody reads its results', async () => {
    await begin({ watchStallMs: 500 })
    client.pause()
    // 8 MB of results: more than the system takes.
    chunk('{"service":".","id":".","address":".","port":0,"weight":0}\n'.repeat(9_000))
    const connections = async (): Promise<number> =>
      new Promise(resolve => {
        hurried.app.server.getConnections((_, count) => {
          resolve(count)
        })
      })
    for (const count of [1, 0])
      await eventually(async () => {
        expect(await connections()).toBe(count)
      })
    const closed = new Promise(resolve => client.once('close', resolve))
    client.resume()
    await closed
    expect(answer).not.toMatch(/\r\n0\r\n\r\n$/)
  })
})

describe('beats of many instances', () => {
  it('may each say something', async () => {
    const all = Array.from({ length: 1_000 }, (_, index) => ({ service: 'talking', id: `i-${index}` }))
    await batch(...all.map(({ service, id }) => line(service, id)))
    const { status, body } = await beats(
      all.map(beat => ({ ...beat, status: 'passing', output: 'ä'.repeat(1_024) })),
    )
    expect([status, body]).toEqual([200, { accepted: 1_000, refused: [] }])
  })

  const beats = (body: unknown) =>
    rest.call<HeartbeatsAnswerView & ProblemView>('PUT', '/heartbeats', { body: { beats: body } })

  it('are judged one by one, and refused ones say what to do', async () => {
    const [a] = await batch(line('beating', 'a'), line('beating', 'b', { lease: null }))
    const answer = await beats([
      { service: 'beating', id: 'a' },
      { service: 'beating', id: 'gone' },
      { service: 'beating', id: 'b' },
      { service: 'beating', id: 'a', incarnation: (a?.incarnation ?? 0) + 1_000_000 },
      { service: 'beating', id: 'a', status: 'warning', output: 'slow' },
    ])
    expect(answer.status).toBe(200)
    expect(answer.body.accepted).toBe(3)
    expect(answer.body.refused.map(({ index, code }) => [index, code])).toEqual([
      [1, 'instance_not_found'],
      [3, 'incarnation_conflict'],
    ])
    expect(rest.heartbeats.pending).toBeGreaterThan(0)
    await eventually(() => {
      expect(rest.replica.mesh.instance('beating', 'a')?.verdict).toBe('degraded')
    })
  })

  it('name the beat that is wrong, and then none counts', async () => {
    const wrong = await beats([
      { service: 'beating', id: 'a' },
      { service: 'beating', id: 'a', output: 'x' },
    ])
    expect(wrong.status).toBe(400)
    expect(wrong.body.errors?.[0]?.pointer).toBe('/beats/1/status')
    expect((await beats([])).status).toBe(400)
  })
})
