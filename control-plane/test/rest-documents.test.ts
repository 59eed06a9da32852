import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { DocumentListView, DocumentView } from '../src/rest/schemas/document.ts'
import type { EffectivePolicyView } from '../src/rest/schemas/effective.ts'
import type { ProblemView } from '../src/rest/schemas/problem.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { startRest, type TestRest } from './support/rest.ts'

let test: TestDatabase
let rest: TestRest
let name = ''
let documents = 0

beforeAll(async () => {
  test = await createTestDatabase()
  rest = await startRest(test)
})

beforeEach(() => {
  name = `service-${(documents += 1)}`
})

afterAll(async () => {
  await rest.stop()
  await test.destroy()
})

const service = () => `/documents/Service/${name}`
const apply = (spec: unknown, headers: Readonly<Record<string, string>> = {}) =>
  rest.call<DocumentView>('PUT', service(), { body: { spec }, headers })
const codeOf = ({ status, body }: { readonly status: number; readonly body: unknown }) => [
  status,
  (body as ProblemView).code,
]

describe('applying a document', () => {
  it('completes it, and says when nothing changes', async () => {
    const first = await apply({ description: 'takes money' })
    expect(first.status).toBe(201)
    expect(first.headers.etag).toBe(`"${first.revision}"`)
    expect(first.body).toEqual({
      kind: 'Service',
      name,
      spec: { description: 'takes money', protocol: 'http' },
      revision: first.revision,
    })
    const same = await apply({ protocol: 'http', description: 'takes money' })
    expect([same.status, same.revision, same.headers.etag]).toEqual([200, first.revision, first.headers.etag])
    const changed = await apply({ protocol: 'grpc' })
    expect([changed.status, changed.revision]).toEqual([200, first.revision + 1])
  })

  it('takes the whole document as a file has it, but none of another name', async () => {
    const whole = await rest.call('PUT', service(), { body: { kind: 'Service', name, spec: {} } })
    expect(whole.status).toBe(201)
    const other = await rest.call<ProblemView>('PUT', service(), {
      body: { kind: 'TrafficPolicy', name: 'other', spec: {} },
    })
    expect(codeOf(other)).toEqual([400, 'invalid_request'])
    expect(other.body.errors?.map(({ pointer }) => pointer)).toEqual(['/kind', '/name'])
  })

  it('points at each wrong field of the spec and changes nothing', async () => {
    const before = rest.replica.mesh.revision
    const wrong = await rest.call<ProblemView>('PUT', `/documents/TrafficPolicy/${name}`, {
      body: { spec: { timeouts: { connect: 'soon', request: '1s' }, retries: { attempts: 99 } } },
    })
    expect(codeOf(wrong)).toEqual([422, 'invalid_document'])
    expect(wrong.body.errors?.map(({ pointer }) => pointer).sort()).toEqual([
      '/spec/retries/attempts',
      '/spec/timeouts/connect',
    ])
    for (const { accepted } of wrong.body.errors ?? []) expect(accepted).not.toBe('')
    expect(rest.replica.mesh.revision).toBe(before)
  })

  it.each<[string, unknown, string]>([
    ['Sevice', { spec: {} }, '{kind}'],
    ['Service', {}, '/spec'],
    ['Service', { spec: 'text' }, '/spec'],
    ['Service', { spec: {}, version: 1 }, '/version'],
    ['Service', { spec: { description: 'half a pair: \ud800' } }, '/spec/description'],
  ])('refuses %s with %j', async (kind, body, pointer) => {
    const answer = await rest.call<ProblemView>('PUT', `/documents/${kind}/${name}`, { body })
    expect(codeOf(answer)).toEqual([400, 'invalid_request'])
    expect(answer.body.errors?.[0]?.pointer).toBe(pointer)
  })
})

describe('preconditions', () => {
  it('let a writer replace only the version that it has read', async () => {
    const { headers } = await apply({})
    const etag = String(headers.etag)
    const second = await apply({ protocol: 'grpc' }, { 'if-match': etag })
    expect(second.status).toBe(200)
    expect(codeOf(await apply({ protocol: 'http2' }, { 'if-match': etag }))).toEqual([
      412,
      'version_conflict',
    ])
    expect(codeOf(await rest.call('DELETE', service(), { headers: { 'if-match': etag } }))).toEqual([
      412,
      'version_conflict',
    ])
    const { body } = await rest.ok<DocumentView>('GET', `${service()}?minRevision=${second.revision}`)
    expect(body.spec).toEqual({ protocol: 'grpc' })
  })

  it('let a writer create without overwriting', async () => {
    expect((await apply({}, { 'if-none-match': '*' })).status).toBe(201)
    expect(codeOf(await apply({ protocol: 'grpc' }, { 'if-none-match': '*' }))).toEqual([
      412,
      'version_conflict',
    ])
    expect(codeOf(await apply({ protocol: 'grpc' }, { 'if-match': 'unquoted' }))).toEqual([
      400,
      'invalid_request',
    ])
  })
})

describe('reading and deleting', () => {
  it('answers 304 for a version that still holds', async () => {
    const { revision, headers } = await apply({})
    const url = `${service()}?minRevision=${revision}`
    const etag = String(headers.etag)
    const cached = await rest.call('GET', url, { headers: { 'if-none-match': etag } })
    expect([cached.status, cached.body, cached.headers.etag]).toEqual([304, '', etag])
    expect((await rest.call('GET', url, { headers: { 'if-none-match': '"1000000"' } })).status).toBe(200)
  })

  it('lists by kind', async () => {
    await apply({})
    const { revision } = await rest.ok('PUT', `/documents/TrafficPolicy/${name}`, { body: { spec: {} } })
    const list = async (query: string) => {
      const { body } = await rest.ok<DocumentListView>('GET', `/documents?minRevision=${revision}${query}`)
      return body.documents.filter(document => document.name === name).map(({ kind }) => kind)
    }
    expect(await list('')).toEqual(['Service', 'TrafficPolicy'])
    expect(await list('&kind=TrafficPolicy')).toEqual(['TrafficPolicy'])
    expect(await list('&kind=Route')).toEqual([])
  })

  it('deletes once', async () => {
    await apply({})
    const gone = await rest.call('DELETE', service())
    expect(gone.status).toBe(204)
    expect(codeOf(await rest.call('GET', `${service()}?minRevision=${gone.revision}`))).toEqual([
      404,
      'document_not_found',
    ])
    expect(codeOf(await rest.call('DELETE', service()))).toEqual([404, 'document_not_found'])
  })
})

describe('the effective policy', () => {
  it('merges by precedence and names the source of every field', async () => {
    const policy = (document: string, spec: object) =>
      rest.ok('PUT', `/documents/TrafficPolicy/${document}`, { body: { spec } })
    await policy(`${name}-all`, { destination: name, timeouts: { request: '3s', connect: '2s' } })
    await policy(`${name}-web`, { destination: name, caller: 'web', timeouts: { request: '1s' } })
    const read = (query: string) =>
      rest.ok<EffectivePolicyView>('GET', `/documents/effective?destination=${name}${query}`)
    const [web, anybody] = [await read('&caller=web'), await read('')]
    expect(web.body).toMatchObject({
      caller: 'web',
      destination: name,
      settings: { timeouts: { request: '1s', connect: '2s' } },
      sources: {
        'timeouts.request': { level: 'caller', document: `${name}-web` },
        'timeouts.connect': { level: 'destination', document: `${name}-all` },
        panicThreshold: { level: 'default' },
      },
    })
    expect(anybody.body).toMatchObject({ caller: null, settings: { timeouts: { request: '3s' } } })
    const refused = await rest.call<ProblemView>('GET', '/documents/effective')
    expect(codeOf(refused)).toEqual([400, 'invalid_request'])
  })
})
