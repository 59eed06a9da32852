import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ChangePageView } from '../src/rest/schemas/change.ts'
import type {
  InstanceDetailView,
  InstanceListView,
  InstanceView,
  ServiceListView,
} from '../src/rest/schemas/instance.ts'
import type { ProblemView } from '../src/rest/schemas/problem.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { startRest, type TestRest } from './support/rest.ts'

let test: TestDatabase
let rest: TestRest
let services = 0

beforeAll(async () => {
  test = await createTestDatabase()
  rest = await startRest(test)
})

afterAll(async () => {
  await rest.stop()
  await test.destroy()
})

const newService = (): string => `service-${(services += 1)}`
const path = (service: string, id: string) => `/services/${service}/instances/${id}`
const body = { address: '10.0.3.7', port: 8080 }
const register = async (service: string, id: string, more: object = {}) => {
  const answer = await rest.call<InstanceView>('PUT', path(service, id), { body: { ...body, ...more } })
  expect(answer.status).toBeLessThan(300)
  return answer
}
/** Read your writes: the answer includes that revision. */
const read = <T>(url: string, revision: number) =>
  rest.call<T>('GET', `${url}${url.includes('?') ? '&' : '?'}minRevision=${revision}`)

describe('registering', () => {
  it('answers 201 with the whole registration, then 200 without a new revision for the same again', async () => {
    const service = newService()
    const first = await register(service, 'a', { metadata: { team: 'core', app: 'x' } })
    expect(first.status).toBe(201)
    expect(first.body).toMatchObject({
      service,
      id: 'a',
      verdict: 'healthy',
      address: '10.0.3.7',
      port: 8080,
      weight: 100,
      metadata: { team: 'core', app: 'x' },
      lease: { ttl: '15s', deregisterAfter: '10m' },
      sidecar: null,
      revision: first.revision,
    })

    const again = await register(service, 'a', { metadata: { app: 'x', team: 'core' }, weight: 100 })
    expect(again.status).toBe(200)
    expect(again.revision).toBe(first.revision)
    expect(again.body.incarnation).toBeGreaterThan(first.body.incarnation)

    const changed = await register(service, 'a', { weight: 50 })
    expect(changed.status).toBe(200)
    expect(changed.revision).toBe(first.revision + 1)
    expect(changed.body).toMatchObject({ weight: 50, metadata: {} })
  })

  it('takes the registration out of an answer as a registration', async () => {
    const service = newService()
    const checks = [
      { kind: 'http', path: '/healthz' },
      { kind: 'tcp', port: 9090 },
    ]
    const { body: shown, revision } = await register(service, 'a', {
      checks,
      lease: null,
      sidecar: {},
      version: 'v2',
    })
    const { address, port, version, weight, metadata, locality, lease, checks: all, sidecar } = shown
    const same = { address, port, version, weight, metadata, locality, lease, checks: all, sidecar }
    expect((await register(service, 'a', same)).revision).toBe(revision)
  })

  it('refuses a wrong body and changes nothing', async () => {
    const service = newService()
    const before = rest.replica.mesh.revision
    const answer = await rest.call<ProblemView>('PUT', path(service, 'a'), {
      body: { ...body, port: 70_000, adress: '10.0.0.1' },
    })
    expect(answer.status).toBe(400)
    expect(answer.body.code).toBe('invalid_request')
    expect(answer.body.errors?.map(({ pointer }) => pointer).sort()).toEqual(['/adress', '/port'])
    const impossible = await rest.call<ProblemView>('PUT', path(service, 'a'), {
      body: { address: 'payments.internal', port: 1 },
    })
    expect(impossible.body.errors).toEqual([expect.objectContaining({ pointer: '/address' })])
    expect((await rest.call('GET', `/services/${service}`)).status).toBe(404)
    expect(rest.replica.mesh.revision).toBe(before)
  })

  it('keeps the caller and its trace with the change', async () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    const { revision } = await rest.ok('PUT', path(newService(), 'a'), {
      body,
      headers: { traceparent, 'x-waymark-actor': 'ada' },
    })
    const { body: page } = await rest.ok<ChangePageView>('GET', `/changes?after=${revision - 1}&limit=1`)
    expect(page.sets).toHaveLength(1)
    expect(page.sets[0]?.changes).toEqual([
      expect.objectContaining({
        revision,
        actor: 'rest:ada',
        traceparent,
        type: 'instance.registered',
        before: null,
      }),
    ])
  })
})

describe('reading', () => {
  it('lists by verdict, zone, version and metadata', async () => {
    const service = newService()
    await register(service, 'a', { version: 'v1', metadata: { team: 'core' }, locality: { zone: 'z1' } })
    await register(service, 'c', { version: 'v2', metadata: { team: 'core' }, locality: { zone: 'z2' } })
    const { revision } = await register(service, 'b', { version: 'v2', lease: null })
    const ids = async (query: string) => {
      const { body: list } = await read<InstanceListView>(`/services/${service}/instances${query}`, revision)
      return list.instances.map(({ id }) => id)
    }
    expect(await ids('')).toEqual(['a', 'b', 'c'])
    expect(await ids('?version=v2')).toEqual(['b', 'c'])
    expect(await ids('?version=v2&metadata.team=core')).toEqual(['c'])
    expect(await ids('?zone=z1')).toEqual(['a'])
    expect(await ids('?health=healthy')).toEqual(['a', 'c'])
    expect(await ids('?health=unknown,unhealthy')).toEqual(['b'])
    expect(await ids('?metadata.team=other')).toEqual([])
    expect(await ids('?metadata.constructor=x')).toEqual([])
  })

  it('counts verdicts by service', async () => {
    const service = newService()
    await register(service, 'a')
    const { revision } = await register(service, 'b', { lease: null })
    const { body: list } = await read<ServiceListView>('/services', revision)
    const summary = list.services.find(({ name }) => name === service)
    expect(summary).toEqual({
      name: service,
      instances: 2,
      verdicts: { healthy: 1, degraded: 0, unhealthy: 0, draining: 0, maintenance: 0, unknown: 1 },
      document: null,
    })
    expect((await read(`/services/${service}`, revision)).body).toEqual(summary)
  })

  it('says of one instance when its evidence was last confirmed, from the database', async () => {
    const service = newService()
    const { revision, body: registered } = await register(service, 'a')
    await test.database
      .updateTable('lease')
      .set({ seen_at: new Date(Date.parse(registered.registeredAt) + 60_000) })
      .where('service', '=', service)
      .execute()
    const { body: shown } = await read<InstanceDetailView>(path(service, 'a'), revision)
    expect(shown.freshness).toBe('live')
    expect(shown.evidence).toEqual([
      expect.objectContaining({
        source: 'lease',
        status: 'passing',
        observedAt: new Date(Date.parse(registered.registeredAt) + 60_000).toISOString(),
        since: registered.registeredAt,
      }),
    ])
  })

  it('answers 404 for what is not there', async () => {
    const codes = async (url: string) => (await rest.call<ProblemView>('GET', url)).body.code
    expect(await codes('/services/nobody')).toBe('service_not_found')
    expect(await codes('/services/nobody/instances')).toBe('service_not_found')
    expect(await codes(path('nobody', 'a'))).toBe('instance_not_found')
    expect(await codes('/discover/nobody')).toBe('service_not_found')
  })
})

describe('heartbeats', () => {
  it('renew the lease, with or without a body', async () => {
    const service = newService()
    const { body: instance } = await register(service, 'a')
    const beat = `${path(service, 'a')}/heartbeat`
    expect((await rest.call('PUT', beat)).status).toBe(204)
    expect((await rest.call('PUT', beat, { body: { incarnation: instance.incarnation } })).status).toBe(204)
    expect(rest.heartbeats.pending).toBeGreaterThan(0)
    await rest.heartbeats.flush()
  })

  it('carry what the instance says of itself', async () => {
    const service = newService()
    await register(service, 'a')
    const beat = `${path(service, 'a')}/heartbeat`
    const { status } = await rest.call('PUT', beat, { body: { status: 'warning', output: 'queue is\nlong' } })
    expect(status).toBe(204)
    await eventually(async () => {
      const { body: shown } = await rest.ok<InstanceDetailView>('GET', path(service, 'a'))
      expect(shown.verdict).toBe('degraded')
      expect(shown.evidence).toContainEqual(
        expect.objectContaining({ source: 'report', status: 'warning', output: 'queue is\nlong' }),
      )
    })
    const nothingSaid = await rest.call<ProblemView>('PUT', beat, { body: { output: 'long' } })
    expect(nothingSaid.body.errors?.map(({ pointer }) => pointer)).toEqual(['/status'])
  })

  it('are refused for an instance that is gone and for an older registration', async () => {
    const service = newService()
    const { body: older } = await register(service, 'a')
    await register(service, 'a')
    const beat = `${path(service, 'a')}/heartbeat`
    const codeOf = async (request?: { body: unknown }) => {
      const answer = await rest.call<ProblemView>('PUT', beat, request)
      return [answer.status, answer.body.code]
    }
    // An equal registration is not in the log: the first late beat may pass, its flush finds out.
    await rest.call('PUT', beat, { body: { incarnation: older.incarnation } })
    await rest.heartbeats.flush()
    expect(await codeOf({ body: { incarnation: older.incarnation } })).toEqual([409, 'incarnation_conflict'])
    await rest.ok('DELETE', path(service, 'a'))
    await eventually(() => {
      expect(rest.replica.mesh.instance(service, 'a')).toBeUndefined()
    })
    expect(await codeOf()).toEqual([404, 'instance_not_found'])
  })
})

describe('leaving', () => {
  it('is at once, or after a drain that a new registration ends', async () => {
    const service = newService()
    await register(service, 'a')
    const draining = await rest.call<InstanceView>('DELETE', `${path(service, 'a')}?drain=30s`)
    expect(draining.status).toBe(200)
    expect(draining.body).toMatchObject({
      verdict: 'draining',
      override: { status: 'draining', actor: 'rest' },
      revision: draining.revision,
    })
    expect(draining.body.removeAt).not.toBeNull()

    expect((await register(service, 'a')).body).toMatchObject({
      verdict: 'healthy',
      removeAt: null,
      override: null,
    })

    const gone = await rest.call('DELETE', path(service, 'a'))
    expect(gone.status).toBe(204)
    expect((await read(path(service, 'a'), gone.revision)).status).toBe(404)
    expect((await rest.call<ProblemView>('DELETE', path(service, 'a'))).body.code).toBe('instance_not_found')
  })

  it('does not take a successor along', async () => {
    const service = newService()
    const { body: older } = await register(service, 'a')
    const { body: newer } = await register(service, 'a')
    const late = await rest.call<ProblemView>(
      'DELETE',
      `${path(service, 'a')}?incarnation=${older.incarnation}`,
    )
    expect([late.status, late.body.code]).toEqual([409, 'incarnation_conflict'])
    const own = await rest.call('DELETE', `${path(service, 'a')}?incarnation=${newer.incarnation}&drain=0s`)
    expect(own.status).toBe(204)
  })

  it('refuses a drain that is out of range', async () => {
    const service = newService()
    await register(service, 'a')
    for (const drain of ['25h', '-1s', '30', 'x']) {
      const { status, body: problem } = await rest.call<ProblemView>(
        'DELETE',
        `${path(service, 'a')}?drain=${drain}`,
      )
      expect([drain, status, problem.errors?.[0]?.pointer]).toEqual([drain, 400, '?drain'])
    }
  })
})

describe('an override', () => {
  it('stands over all evidence until it is taken back', async () => {
    const service = newService()
    await register(service, 'a')
    const set = (status: string, reason?: string) =>
      rest.call<InstanceView>('PUT', `${path(service, 'a')}/override`, {
        body: { status, ...(reason === undefined ? {} : { reason }) },
        headers: { 'x-waymark-actor': 'ada' },
      })
    const maintenance = await set('maintenance', 'disk is being replaced')
    expect(maintenance.body).toMatchObject({
      verdict: 'maintenance',
      override: { status: 'maintenance', reason: 'disk is being replaced', actor: 'rest:ada' },
    })
    expect((await register(service, 'a')).body.verdict).toBe('maintenance')
    expect((await set('none')).body).toMatchObject({ verdict: 'healthy', override: null })
    expect((await set('asleep')).status).toBe(400)
  })

  it('says when it ends, and takes no end that makes no sense', async () => {
    const service = newService()
    await register(service, 'a')
    const set = <T = InstanceView>(ends: object) =>
      rest.call<T>('PUT', `${path(service, 'a')}/override`, { body: { status: 'draining', ...ends } })
    const written = await set({ expiresAt: '2999-01-01T02:00:00+02:00' })
    expect(written.body.override).toMatchObject({ expiresAt: '2999-01-01T00:00:00.000Z', reason: '' })
    const { since = '', expiresAt } = (await set({ ttl: '30m' })).body.override ?? {}
    expect(Date.parse(expiresAt ?? '') - Date.parse(since)).toBe(30 * 60_000)
    expect((await set({})).body.override?.expiresAt).toBeNull()
    for (const [ends, pointer] of [
      [{ ttl: '30m', expiresAt: '2999-01-01T00:00:00Z' }, '/expiresAt'],
      [{ expiresAt: '2020-01-01T00:00:00Z' }, '/expiresAt'],
      [{ expiresAt: 'tomorrow' }, '/expiresAt'],
      [{ expiresAt: '2999-06-30T23:59:60Z' }, '/expiresAt'],
      [{ ttl: '0s' }, '/ttl'],
      [{ ttl: '9000h' }, '/ttl'],
      [{ ttl: 30 }, '/ttl'],
    ] as const) {
      const refused = await set<ProblemView>(ends)
      expect([refused.status, refused.body.errors?.map(error => error.pointer)]).toEqual([400, [pointer]])
    }
  })
})

describe('the four verbs', () => {
  it('register, beat, discover and deregister as the long paths do', async () => {
    const service = newService()
    const registration = { service, id: 'a', ...body, lease: null }
    const first = await rest.call<InstanceView>('POST', '/register', { body: registration })
    expect(first.status).toBe(201)
    const again = await register(service, 'a', { lease: null })
    expect([again.status, again.revision]).toEqual([200, first.revision])

    expect((await rest.call('PUT', `/heartbeat/${service}/a`)).status).toBe(204)

    const down = await rest.call('PUT', `/heartbeat/${service}/a`, { body: { status: 'critical' } })
    expect(down.status).toBe(204)
    await eventually(async () => {
      const usable = await rest.call<InstanceListView>('GET', `/discover/${service}`)
      expect(usable.body.instances).toEqual([])
    })
    const all = await rest.call<InstanceListView>('GET', `/discover/${service}?health=unhealthy`)
    expect(all.body.instances.map(({ id }) => id)).toEqual(['a'])

    expect((await rest.call('DELETE', `/deregister/${service}/a?drain=1s`)).status).toBe(200)
    expect((await rest.call('DELETE', `/deregister/${service}/a`)).status).toBe(204)
  })

  it('name a wrong service in the body', async () => {
    const { body: problem } = await rest.call<ProblemView>('POST', '/register', {
      body: { ...body, service: 'Payments', id: 'a/b' },
    })
    expect(problem.errors?.map(({ pointer }) => pointer).sort()).toEqual(['/id', '/service'])
  })
})
