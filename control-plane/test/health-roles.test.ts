import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Membership } from '../src/health/membership.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { silentLogger } from '../src/runtime/logger.ts'
import { openDatabase } from '../src/store/database.ts'
import { OwnedRole, type Ownership } from '../src/store/owned-role.ts'
import { ReplicaTable } from '../src/store/replica-table.ts'
import { RoleTable } from '../src/store/role-table.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { createRole } from './support/health.ts'
import { ManualClock } from './support/manual-clock.ts'

let test: TestDatabase

beforeEach(async () => {
  test = await createTestDatabase()
})

afterEach(async () => {
  await test.destroy()
})

const name = 'work'
const expireNow = () =>
  test.database
    .updateTable('role')
    .set({ expires_at: new Date(0) })
    .execute()
/** Work that lasts as long as it may. */
const untilAborted = ({ signal }: Ownership): Promise<void> =>
  new Promise(resolve => {
    signal.addEventListener('abort', () => {
      resolve()
    })
  })

describe('a role', () => {
  it('has one owner until it expires; its fence grows with every owner', async () => {
    const roles = new RoleTable(test.database)
    expect(await roles.holder(name)).toBeUndefined()
    expect(await roles.acquire({ name, owner: 'a', ttlMs: 60_000 })).toBe(1)
    expect(await roles.acquire({ name, owner: 'b', ttlMs: 60_000 })).toBeNull()
    // Also a new process under the old name has to wait.
    expect(await roles.acquire({ name, owner: 'a', ttlMs: 60_000 })).toBeNull()
    expect(await roles.holder(name)).toEqual({ owner: 'a', fence: 1, report: null })

    await expireNow()
    expect(await roles.holder(name)).toBeUndefined()
    // Expired, but nobody has come: the owner may go on.
    expect(await roles.renew({ name, owner: 'a', fence: 1, ttlMs: 60_000 })).toBe(true)
    await expireNow()
    expect(await roles.acquire({ name, owner: 'b', ttlMs: 60_000 })).toBe(2)
    expect(await roles.renew({ name, owner: 'a', fence: 1, ttlMs: 60_000 })).toBe(false)
    await roles.release({ name, owner: 'a', fence: 1 })
    expect(await roles.holder(name)).toEqual({ owner: 'b', fence: 2, report: null })

    await roles.release({ name, owner: 'b', fence: 2 })
    expect(await roles.acquire({ name, owner: 'a', ttlMs: 60_000 })).toBe(3)
  })

  it('goes to exactly one of many that ask at once', async () => {
    const roles = new RoleTable(test.database)
    const fences = await Promise.all(
      Array.from({ length: 12 }, (_, index) => roles.acquire({ name, owner: `r-${index}`, ttlMs: 60_000 })),
    )
    expect(fences.filter(fence => fence !== null)).toEqual([1])
  })
})

describe('owned work', () => {
  it('outlives the TTL of its role, and is told when somebody else has taken it', async () => {
    const ttlMs = 600
    const role = createRole(test, { owner: 'a', name, ttlMs })
    const stop = new AbortController()
    const owned: { readonly since: number; readonly ownership: Ownership }[] = []
    const running = role.run(stop.signal, ownership => {
      owned.push({ since: performance.now(), ownership })
      return untilAborted(ownership)
    })
    const held = async () => (await test.database.selectFrom('role').selectAll().execute())[0]
    // A process that stood still for a TTL has lost it by right, and takes it again.
    const ownership = await eventually(() => {
      const last = owned.at(-1)
      if (last === undefined || last.ownership.signal.aborted) throw new Error('not acquired')
      expect(performance.now() - last.since).toBeGreaterThan(1.5 * ttlMs)
      return last.ownership
    })
    expect(await held()).toMatchObject({ owner: 'a', fence: String(ownership.fence) })

    await test.database
      .updateTable('role')
      .set({ owner: 'b', fence: '99', expires_at: new Date(Date.now() + 60_000) })
      .execute()
    await eventually(() => {
      expect(ownership.signal.aborted).toBe(true)
      expect(role.state).toMatchObject({ owner: 'b', fence: null })
    })
    stop.abort()
    await running
    // Not ours: not released either.
    expect(await held()).toMatchObject({ owner: 'b', fence: '99' })
  })

  it('tells the other replicas what its owner says, until it changes hands', async () => {
    const one = createRole(test, { owner: 'a', name })
    const two = createRole(test, { owner: 'b', name })
    const stops = [new AbortController(), new AbortController()] as const
    let works = 0
    const run = (role: OwnedRole, { signal }: AbortController) =>
      role.run(
        signal,
        ownership => {
          works += 1
          return untilAborted(ownership)
        },
        () => ({ error: 'no disk' }),
      )
    const first = run(one, stops[0])
    await eventually(() => {
      expect(works).toBe(1)
    })
    const second = run(two, stops[1])
    await eventually(() => {
      expect(two.state).toMatchObject({ owner: 'a', report: { error: 'no disk' } })
    })
    expect(one.state).toMatchObject({ owner: 'a', report: null })
    stops[0].abort()
    await first
    await eventually(() => {
      expect(two.state).toMatchObject({ owner: 'b', report: null })
    })
    stops[1].abort()
    await second
  })

  it('gives its role up when it ends or throws, and starts again', async () => {
    const role = createRole(test, { owner: 'a', name })
    const stop = new AbortController()
    const fences: number[] = []
    await role.run(stop.signal, ({ fence }) => {
      fences.push(fence)
      if (fences.length === 2) return Promise.reject(new Error('broken'))
      if (fences.length === 3) stop.abort()
      return Promise.resolve()
    })
    expect(fences).toEqual([1, 2, 3])
    expect(await new RoleTable(test.database).holder(name)).toBeUndefined()
  })

  it('is told to stop when the database has been away for a TTL', async () => {
    const away = openDatabase({
      url: 'postgres://nobody@127.0.0.1:1/nothing',
      applicationName: 'test',
      connections: 1,
      logger: silentLogger,
    })
    const clock = new ManualClock()
    let roles = new RoleTable(test.database)
    const role = new OwnedRole({
      roles: {
        acquire: request => roles.acquire(request),
        renew: request => roles.renew(request),
        release: request => roles.release(request),
        holder: role => roles.holder(role),
      },
      name,
      owner: 'a',
      clock,
      logger: silentLogger,
      ttlMs: 3_000,
    })
    const stop = new AbortController()
    let owned: Ownership | undefined
    const running = role.run(stop.signal, ownership => {
      owned = ownership
      return untilAborted(ownership)
    })
    await eventually(() => {
      expect(owned).toBeDefined()
    })
    roles = new RoleTable(away)
    await clock.advance(2_999)
    expect(owned?.signal.aborted).toBe(false)
    await clock.advance(1)
    expect(owned?.signal.aborted).toBe(true)
    stop.abort()
    await eventually(() => clock.advance(1_000))
    await running
    await away.destroy()
  })
})

describe('membership', () => {
  const member = (id: string): Membership =>
    new Membership({
      replicas: new ReplicaTable(test.database),
      id,
      addresses: () => ({ http: `${id}:7400`, xds: `${id}:7401` }),
      clock: systemClock,
      logger: silentLogger,
      intervalMs: 30,
    })

  it('shows each replica the others, until they leave or fall silent', async () => {
    const one = member('a')
    const two = member('b')
    const seen: (readonly string[])[] = []
    one.onChange(ids => seen.push(ids))
    const stop = new AbortController()
    expect(one.liveIds).toEqual([])
    await one.step()
    await two.step()
    expect(two.live).toMatchObject([
      { id: 'a', http: 'a:7400', xds: 'a:7401' },
      { id: 'b', http: 'b:7400', xds: 'b:7401' },
    ])
    const running = two.start(stop.signal)
    await one.step()
    await one.step()
    expect(seen).toEqual([['a'], ['a', 'b']])
    stop.abort()
    await running
    await one.step()
    expect(seen.at(-1)).toEqual(['a'])

    await two.step()
    await one.step()
    expect(seen.at(-1)).toEqual(['a', 'b'])
    await test.database
      .updateTable('replica')
      .set({ seen_at: new Date(Date.now() - 6_000) })
      .execute()
    await one.step()
    expect(seen.at(-1)).toEqual(['a'])
  })

  it('keeps the last known members while the database is away', async () => {
    const away = openDatabase({
      url: 'postgres://nobody@127.0.0.1:1/nothing',
      applicationName: 'test',
      connections: 1,
      logger: silentLogger,
    })
    let replicas = new ReplicaTable(test.database)
    const one = new Membership({
      replicas: {
        announce: replica => replicas.announce(replica),
        live: withinMs => replicas.live(withinMs),
        withdraw: id => replicas.withdraw(id),
      },
      id: 'a',
      addresses: () => ({ http: '', xds: '' }),
      clock: systemClock,
      logger: silentLogger,
    })
    await one.step()
    replicas = new ReplicaTable(away)
    await one.step()
    expect(one.liveIds).toEqual(['a'])
    await away.destroy()
  })
})
