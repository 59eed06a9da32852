import pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { readEvents } from '@waymark/control-plane/cli/read-events.ts'
import type { ChangeSetView } from '@waymark/control-plane/rest/schemas/change.ts'
import type { InstanceListView } from '@waymark/control-plane/rest/schemas/instance.ts'
import { dropOldPartitions } from '@waymark/control-plane/store/retention.ts'
import { RoleTable } from '@waymark/control-plane/store/role-table.ts'
import { createTestDatabase, type TestDatabase } from '../../control-plane/test/support/database.ts'
import { eventually } from '../harness/eventually.ts'
import { startTestMesh } from '../harness/story.ts'

const path = '/api/v1/services/counted/instances'

/** A client that keeps a copy of one service: it reads the list and watches from its revision, and begins again. */
class Follower {
  /** Port by instance id. */
  readonly state = new Map<string, number>()
  /** Of the list and of each change since, in order. */
  revisions: number[] = []
  compacted = 0
  readonly #url: string
  readonly #abort = new AbortController()
  readonly #running: Promise<void>

  constructor(url: string) {
    this.#url = url
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort
    while (!signal.aborted) {
      const list = await fetch(this.#url + path, { signal }).catch(() => undefined)
      if (list?.ok !== true) continue
      const { revision, instances } = (await list.json()) as InstanceListView
      this.state.clear()
      for (const { id, port } of instances) this.state.set(id, port)
      this.revisions = [revision]
      await this.#watch(revision).catch(() => undefined)
    }
  }

  async #watch(from: number): Promise<void> {
    const { signal } = this.#abort
    const response = await fetch(`${this.#url}/api/v1/watch?services=counted&from=${from}`, { signal })
    if (response.status === 410) this.compacted += 1
    if (!response.ok || response.body === null) return
    for await (const { event, data } of readEvents(response.body)) {
      if (event === 'compacted') this.compacted += 1
      if (event !== 'change') continue
      const { revision, changes } = JSON.parse(data) as ChangeSetView
      this.revisions.push(revision)
      for (const { after, before } of changes) {
        if (after !== null && 'port' in after) this.state.set(after.id, after.port)
        else if (before !== null && 'id' in before) this.state.delete(before.id)
      }
    }
  }
}

/** Of 20 revisions each. */
const makeSmallPartitions = async ({ connection }: TestDatabase): Promise<void> => {
  const client = new pg.Client({ connectionString: connection.url })
  await client.connect()
  await client.query('select ensure_change_partition(2000, 20)')
  await client.end()
}

/** As the owner of retention does it, but at once. */
const dropAllButTheLast = async ({ database }: TestDatabase): Promise<string[]> => {
  const holder = await eventually('somebody to own retention', () =>
    new RoleTable(database).holder('retention'),
  )
  const dropped = await dropOldPartitions({
    database,
    ...{ keepDays: 7, keepRevisions: 1, holdDays: 30 },
    fence: { role: 'retention', fence: holder.fence },
  })
  return dropped.map(({ name }) => name)
}

it('a replica that was paused for longer than the log reaches back, and its watchers, miss and double nothing', async () => {
  const database = await createTestDatabase()
  onTestFinished(() => database.destroy())
  await makeSmallPartitions(database)
  const mesh = await startTestMesh({ databaseUrl: database.connection.url })
  const [awake, paused] = [mesh.replica(0), mesh.replica(1)]
  const write = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n += 1) {
      const body = { address: '10.0.0.1', port: 1 + Math.floor(Math.random() * 9_000), lease: null }
      await awake.api.register('counted', `i-${n % 7}`, body)
      if (n % 5 === 4) await awake.api.deregister('counted', `i-${n % 7}`)
    }
  }
  await write(10)
  const followers = [awake, paused].map(({ api }) => new Follower(api.url))
  for (const follower of followers) mesh.onClose(() => follower.stop())
  const [atAwake, atPaused] = followers
  await eventually('both followers to follow', () => followers.every(({ state }) => state.size > 0))
  await write(5)
  await eventually('changes at both', () => followers.every(({ revisions }) => revisions.length > 3))

  const { pid } = paused.process
  if (pid === null) throw new Error('the replica does not run')
  process.kill(pid, 'SIGSTOP')
  mesh.onClose(() => {
    process.kill(pid, 'SIGCONT')
    return Promise.resolve()
  })
  await write(60)
  // A live follower of the log, at its end, while the partitions behind it go.
  await eventually('partitions to be dropped', async () => (await dropAllButTheLast(database)).length > 0)
  await write(10)
  const { status } = await fetch(`${awake.api.url}/api/v1/changes?after=1`)
  expect(status).toBe(410)
  process.kill(pid, 'SIGCONT')

  const current = async (): Promise<Map<string, number>> => {
    const list = (await (await fetch(awake.api.url + path)).json()) as InstanceListView
    return new Map(list.instances.map(({ id, port }) => [id, port]))
  }
  await eventually('the paused replica to have the state of the other', async () => {
    const lists = await Promise.all(
      [awake, paused].map(async ({ api }) => (await fetch(api.url + path)).json()),
    )
    expect(lists[1]).toEqual(lists[0])
    return true
  })
  await write(5)
  const wanted = await current()
  await eventually('both followers to have the state', () =>
    followers.every(({ state }) => JSON.stringify([...state].sort()) === JSON.stringify([...wanted].sort())),
  )
  expect(atPaused?.compacted).toBeGreaterThan(0)
  expect(atAwake?.compacted).toBe(0)
  for (const { revisions } of followers) {
    expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b))
  }
})
