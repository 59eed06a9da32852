import { fileURLToPath } from 'node:url'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { capabilities } from '@waymark/control-plane/domain/mode.ts'
import { freePort } from '@waymark/deploy/local/ports.ts'
import type { ManagedProcess } from '@waymark/deploy/local/processes.ts'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { childEnv } from '../harness/child-env.ts'
import { eventually, eventuallyHolds } from '../harness/eventually.ts'
import { FaultyPostgres, whyNoOwnDisk } from '../harness/faults/faulty-postgres.ts'
import { readFaultTable, type Modes } from '../harness/faults/fault-table.ts'
import { TestMesh } from '../harness/test-mesh.ts'

const table = readFaultTable()
const receiver = fileURLToPath(import.meta.resolve('../harness/webhook-receiver.ts'))
const wrongClock = import.meta.resolve('../harness/faults/wrong-clock.mjs')
const hourMs = 3_600_000
/** The sweeper takes a shorter gap for one without lost heartbeats. */
const interruptionMs = 4_000
const body = { address: '127.0.0.1', port: 9, lease: null }
/** Fewer than self-preservation looks at: nothing but the rules of expiry shelters them. */
const beating = ['payments-1', 'payments-2', 'orders-1']

/** Of what has been started, also when the rest could not be. */
const closers: (() => Promise<void>)[] = []
let postgres: FaultyPostgres
let mesh: TestMesh
let startReceiver: () => void
let receiving: ManagedProcess
/** Ids of service `kept` whose registration was acknowledged. */
const acknowledged = new Set<string>()
let turn = 0

beforeAll(async () => {
  postgres = await FaultyPostgres.start()
  closers.push(() => postgres.close())
  const port = await freePort()
  const secret = `whsec_${randomBytes(32).toString('base64')}`
  mesh = await TestMesh.start({
    databaseUrl: postgres.url,
    envoy: inject('envoy'),
    replicas: 2,
    avoid: [port],
    env: {
      WAYMARK_SINKS: `audit=http://127.0.0.1:${port}/events`,
      WAYMARK_SINK_AUDIT_SECRET: secret,
      NODE_OPTIONS: `--import=${wrongClock}`,
      WRONG_CLOCK_REPLICA: 'replica-2',
      WRONG_CLOCK_MS: String(hourMs),
    },
  })
  closers.push(() => mesh.close())
  startReceiver = () => {
    receiving = mesh.supervisor.start({
      name: `receiver-${(turn += 1)}`,
      group: 'receivers',
      env: childEnv(),
      command: process.execPath,
      args: [
        '--disable-warning=ExperimentalWarning',
        receiver,
        JSON.stringify({ port, secret, file: join(mesh.directory, 'events.ndjson') }),
      ],
    })
  }
  startReceiver()
  for (const id of beating) {
    const service = id.slice(0, -2)
    await mesh.api.register(service, id, { ...body, lease: { ttl: '4s', deregisterAfter: '1m' } })
    mesh.heartbeats.add(service, id)
  }
})

afterAll(async () => {
  for (const close of closers.reverse()) await close()
})

const modesOf = async (replica: number): Promise<Modes> => {
  const { modes } = await mesh.replica(replica).api.status()
  return Object.fromEntries(modes.map(({ capability, mode }) => [capability, mode])) as Modes
}

const allTarget = Object.fromEntries(capabilities.map(capability => [capability, 'target'])) as Modes

/** Registers an instance; the status of the answer. */
const write = async (replica: number): Promise<number> => {
  const id = `kept-${(turn += 1)}`
  const answer = await mesh.replica(replica).api.call('PUT', `/services/kept/instances/${id}`, body)
  if (answer.status < 300) acknowledged.add(id)
  else {
    expect(answer).toMatchObject({ status: 503, body: { code: 'database_unavailable' } })
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
  }
  return answer.status
}

/** Every mode that a replica has shown, in order, until `stop`. */
const observe = (replica: number) => {
  const seen = new Map(capabilities.map(capability => [capability, [] as string[]]))
  const abort = new AbortController()
  const running = (async () => {
    while (!abort.signal.aborted) {
      const modes = await modesOf(replica).catch(() => null)
      if (modes !== null)
        for (const [capability, before] of seen)
          if (before.at(-1) !== modes[capability]) before.push(modes[capability])
      await delay(50)
    }
  })()
  return async () => {
    abort.abort()
    await running
    return seen
  }
}

interface Fault {
  readonly name: string
  /** Must happen before, while everything is well. */
  readonly prepare?: () => Promise<void>
  readonly begin: () => Promise<void> | void
  readonly end: () => Promise<void> | void
  /** Who looks at the modes. */
  readonly witnesses?: readonly number[]
  readonly needsDisk?: boolean
  /** Heartbeats cannot be written for so long that every lease begins anew. */
  readonly interrupts?: boolean
}

/** Those who own a role, each once; also `nobody`, of whom either replica may take it. */
const owners = async (): Promise<string[]> => {
  const rows = await postgres.query<{ owner: string }>(
    `select distinct case when expires_at > clock_timestamp() then owner else 'nobody' end as owner
     from role order by owner`,
  )
  return rows.map(({ owner }) => owner)
}

/** How often a replica has found that a role is no longer its own. */
const lostRoles = async (name: string): Promise<number> => {
  const log = await readFile(join(mesh.directory, 'logs', `${name}.log`), 'utf8')
  return log.split('this replica has lost a role').length - 1
}

const pidOf = (replica: number): number => {
  const { pid } = mesh.replica(replica).process
  if (pid === null) throw new Error(`replica ${replica} does not run`)
  return pid
}

const faults: readonly Fault[] = [
  {
    name: 'Postgres is stopped',
    interrupts: true,
    begin: () => postgres.stop(),
    end: () => postgres.restart(),
  },
  {
    name: 'Postgres is killed (SIGKILL)',
    interrupts: true,
    begin: () => postgres.kill(),
    end: () => postgres.restart(),
  },
  {
    name: 'Postgres is paused (SIGSTOP)',
    interrupts: true,
    begin: () => postgres.pause(),
    end: () => postgres.resume(),
  },
  {
    name: 'Postgres is slow (600 ms an answer)',
    begin: () => {
      postgres.proxy.delayMs = 600
    },
    end: () => {
      postgres.proxy.delayMs = 0
    },
  },
  {
    name: 'Postgres has no connection left',
    begin: () => postgres.hoardConnections(),
    end: () => postgres.freeConnections(),
  },
  {
    name: 'the disk of Postgres is full',
    begin: () => postgres.fillDisk(),
    end: () => postgres.freeDisk(),
    needsDisk: true,
  },
  {
    name: 'the receiver of a sink is gone',
    begin: async () => {
      await receiving.kill()
    },
    end: () => {
      startReceiver()
    },
  },
  {
    name: 'a replica is paused (SIGSTOP)',
    // The owner of everything that only one replica does.
    prepare: async () => {
      await mesh.replica(1).process.stop()
      await eventually(
        'the first replica to own every role',
        async () => (await owners()).join() === 'replica-1',
      )
      await mesh.replica(1).process.start()
    },
    begin: async () => {
      process.kill(pidOf(0), 'SIGSTOP')
      await eventually(
        'the other replica to take its roles over',
        async () => (await owners()).join() === 'replica-2',
      )
    },
    end: async () => {
      // It may have lost one in a story before, too.
      const before = await lostRoles('replica-1')
      process.kill(pidOf(0), 'SIGCONT')
      await eventually('it to notice', async () => (await lostRoles('replica-1')) > before)
      expect(await owners()).toEqual(['replica-2'])
    },
    witnesses: [1],
  },
  // Since its start.
  { name: 'the clock of a replica is wrong', begin: () => undefined, end: () => undefined },
  {
    name: 'Postgres fails over to a standby',
    prepare: () => postgres.addStandby(),
    begin: () => postgres.stop(),
    end: () => postgres.failOver(),
    interrupts: true,
  },
]

const inTarget = (what: string): Promise<void> =>
  eventuallyHolds(
    `every capability to be in target ${what}`,
    async () => {
      const statuses = await Promise.all(mesh.replicas.map(({ api }) => api.status()))
      const others = statuses.flatMap(({ replica, modes }) =>
        modes
          .filter(({ mode }) => mode !== 'target')
          .map(({ capability, mode, evidence }) => `${replica}: ${capability} ${mode}: ${evidence}`),
      )
      expect(others.join('; ')).toBe('')
    },
    60_000,
  )

it('has a fault for every row of the documented table', () => {
  expect(faults.map(({ name }) => name).sort()).toEqual([...table.keys()].sort())
})

describe.each(faults)('$name', fault => {
  const { name, prepare, begin, end, witnesses = [0, 1], needsDisk = false, interrupts = false } = fault
  const expected = table.get(name) ?? allTarget

  it.skipIf(needsDisk && whyNoOwnDisk() !== null && process.env['CI'] === undefined)(
    'shows the documented modes, loses nothing, expires nobody, and comes back',
    async () => {
      await prepare?.()
      await inTarget('before it')
      const { revision } = await mesh.api.status()
      const observed = observe(1)

      const began = performance.now()
      await begin()
      await eventuallyHolds(
        'the documented modes',
        async () => {
          // What nobody tries is not found out.
          await Promise.all(witnesses.map(write))
          for (const replica of witnesses)
            expect(JSON.stringify(await modesOf(replica))).toBe(JSON.stringify(expected))
        },
        30_000,
      )
      for (const replica of witnesses) {
        const { api } = mesh.replica(replica)
        expect((await write(replica)) < 300).toBe(expected.register !== 'floor')
        expect(await api.instances('payments')).toHaveLength(2)
        for (const state of (await api.status()).modes)
          if (state.mode !== 'target') expect([state.evidence, state.endsWhen]).not.toContain(null)
      }

      if (interrupts) await delay(Math.max(0, interruptionMs - (performance.now() - began)))
      await end()
      await inTarget('after it')
      const seen = await observed()
      if (expected.register === 'floor') expect(seen.get('register')).toContain('recovery')
      if (interrupts) expect(seen.get('health')).toContain('recovery')

      expect(await write(0)).toBe(201)
      await eventually('both replicas to have everything that was acknowledged', async () => {
        for (const { api } of mesh.replicas) {
          const ids = new Set((await api.instances('kept')).map(({ id }) => id))
          if ([...acknowledged].some(id => !ids.has(id))) return false
        }
        return true
      })
      const log = await mesh.api.changes(revision)
      const types = new Set(log.flatMap(({ changes }) => changes.map(({ type }) => type)))
      expect([...types]).toEqual(['instance.registered'])
      for (const id of beating) {
        const instance = await mesh.api.get<{ verdict: string }>(
          `/services/${id.slice(0, -2)}/instances/${id}`,
        )
        expect(instance.verdict).not.toBe('unhealthy')
      }
    },
  )
})
