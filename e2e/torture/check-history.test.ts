import { describe, expect, it } from 'vitest'
import { checkHistory } from './check-history.ts'
import type {
  BeatOperation,
  History,
  InstanceState,
  LogEntry,
  LogRevision,
  Operation,
  ReadOperation,
  Rule,
  WriteOperation,
} from './history.ts'

const key = 'alpha/i0'

const state = (revision: number, mark: string, override: string | null = null): InstanceState => ({
  revision,
  mark,
  override,
})

const entry = (more: Partial<LogEntry> & Pick<LogEntry, 'actor' | 'before' | 'after'>): LogEntry => ({
  key,
  type: more.before === null ? 'instance.registered' : 'instance.updated',
  ...more,
})

const write = (more: Partial<WriteOperation> & Pick<WriteOperation, 'id' | 'invokedAt'>): WriteOperation => ({
  kind: 'register',
  client: 'c0',
  key,
  completedAt: more.invokedAt + 5,
  status: 200,
  revision: null,
  ...more,
})

const read = (more: Partial<ReadOperation> & Pick<ReadOperation, 'id' | 'invokedAt'>): ReadOperation => ({
  kind: 'read',
  client: 'c1',
  service: 'alpha',
  key,
  completedAt: more.invokedAt + 5,
  status: 200,
  revision: null,
  minRevision: null,
  monotonic: true,
  seen: {},
  ...more,
})

/**
 * Registered, changed, set to maintenance, and removed, one after the other; every read is right. Then an instance is
 * registered whose client never learns of it, and the sweeper does something of its own.
 */
const log: readonly LogRevision[] = [
  { revision: 1, changes: [entry({ actor: 'rest:w1', before: null, after: state(1, 'w1') })] },
  { revision: 2, changes: [entry({ actor: 'rest:w2', before: state(1, 'w1'), after: state(2, 'w2') })] },
  {
    revision: 3,
    changes: [entry({ actor: 'rest:w3', before: state(2, 'w2'), after: state(3, 'w2', 'w3') })],
  },
  { revision: 4, changes: [entry({ actor: 'rest:w4', before: state(3, 'w2', 'w3'), after: null })] },
  { revision: 5, changes: [entry({ actor: 'rest:w5', before: null, after: state(5, 'w5') })] },
  { revision: 6, changes: [entry({ actor: 'sweeper', before: state(5, 'w5'), after: state(6, 'w5') })] },
]
const operations: readonly Operation[] = [
  write({ id: 'w1', invokedAt: 0, status: 201, revision: 1 }),
  read({ id: 'r1', invokedAt: 10, revision: 1, minRevision: 1, seen: { [key]: state(1, 'w1') } }),
  write({ id: 'w2', invokedAt: 20, revision: 2 }),
  write({ id: 'w3', invokedAt: 30, revision: 3, kind: 'override' }),
  read({ id: 'r2', invokedAt: 40, revision: 3, key: null, seen: { [key]: state(3, 'w2', 'w3') } }),
  write({ id: 'w4', invokedAt: 50, revision: 4, kind: 'deregister', status: 204 }),
  write({ id: 'w6', invokedAt: 60, kind: 'deregister', status: 404, revision: 4 }),
  read({ id: 'r3', invokedAt: 70, revision: 4, status: 404 }),
  write({ id: 'w5', invokedAt: 80, status: null }),
  write({ id: 'w7', invokedAt: 90, status: 200, revision: 6, kind: 'clear' }),
]

const history = (more: Partial<History> = {}): History => ({
  operations,
  logs: ['replica-1', 'replica-2'].map(replica => ({ replica, sets: log })),
  watchers: [{ name: 'watcher', sets: log }],
  ...more,
})

const withLog = (sets: readonly LogRevision[]): History =>
  history({ logs: [{ replica: 'replica-1', sets }], watchers: [{ name: 'watcher', sets }] })

/** One operation replaced, or one more. */
const withOperation = (one: Operation): History =>
  history({ operations: [...operations.filter(({ id }) => id !== one.id), one] })

const changed = (id: string, more: object): History => {
  const known = operations.find(operation => operation.id === id)
  if (known === undefined) throw new Error(`there is no ${id}`)
  return withOperation({ ...known, ...more })
}

const beat: BeatOperation = {
  kind: 'beat',
  id: 'b1',
  client: 'c2',
  key,
  invokedAt: 25,
  completedAt: 28,
  status: 404,
  revision: 2,
}

const violated = (broken: History): Rule[] => [...new Set(checkHistory(broken).map(({ rule }) => rule))]

describe('checkHistory', () => {
  it('finds nothing wrong with what is right', () => {
    expect(checkHistory(history())).toEqual([])
  })

  const replaced = (revision: number, by: Partial<LogEntry>): readonly LogRevision[] =>
    log.map(set =>
      set.revision === revision
        ? { ...set, changes: set.changes.map(change => ({ ...change, ...by })) }
        : set,
    )

  const watcherFaults: readonly (readonly [string, readonly LogRevision[]])[] = [
    ['misses a revision', log.filter(({ revision }) => revision !== 3)],
    ['sees a revision twice', [...log.slice(0, 3), ...log.slice(2)]],
    ['sees revisions out of order', [...log.slice(0, 3), ...log.slice(4), ...log.slice(3, 4)]],
    ['stops early', log.slice(0, 4)],
    ['sees something else', replaced(4, { actor: 'rest:other' })],
  ]

  it.each<[string, Rule, History]>([
    ['a gap', 'gapless', withLog(log.filter(({ revision }) => revision !== 5))],
    ['a revision that comes twice', 'gapless', withLog([...log.slice(0, 2), ...log.slice(1)])],
    ['an empty revision', 'gapless', withLog([...log, { revision: 7, changes: [] }])],
    [
      'replicas that disagree',
      'agreement',
      history({
        logs: [
          { replica: 'replica-1', sets: log },
          { replica: 'replica-2', sets: replaced(6, { actor: 'checks' }) },
        ],
      }),
    ],
    ['a change that begins elsewhere', 'chain', withLog(replaced(3, { before: state(1, 'w1') }))],
    ['a registration of what is there', 'chain', withLog(replaced(2, { type: 'instance.registered' }))],
    ['a state that names another revision', 'chain', withLog(replaced(6, { after: state(5, 'w5') }))],
    ['a write that nobody asked for', 'attribution', withLog(replaced(6, { actor: 'rest:nobody' }))],
    ['a write that happened twice', 'attribution', withLog(replaced(6, { actor: 'rest:w5' }))],
    ['a write that did something else', 'attribution', withLog(replaced(2, { after: state(2, 'other') }))],
    [
      'an acknowledged write that is not there',
      'lost',
      withOperation(write({ id: 'w8', invokedAt: 95, revision: 6 })),
    ],
    ['an answer that names another place', 'lost', changed('w2', { revision: 1 })],
    [
      'an override that was not taken back',
      'lost',
      changed('w7', { invokedAt: 35, completedAt: 36, revision: 3 }),
    ],
    ['a refused write that happened', 'refused', changed('w2', { status: 404 })],
    ['a refusal without a reason', 'refused', changed('w6', { invokedAt: 36, completedAt: 39, revision: 3 })],
    ['a beat that found nobody, although it was there', 'refused', withOperation(beat)],
    [
      'a write before what was known when it was asked for',
      'realTime',
      changed('w2', { invokedAt: 41, completedAt: 49 }),
    ],
    [
      'a write after what was asked for when it had been answered',
      'realTime',
      changed('w3', { invokedAt: 8, completedAt: 9 }),
    ],
    ['a stale state under a new revision', 'read', changed('r2', { seen: { [key]: state(2, 'w2') } })],
    ['a state out of nowhere', 'read', changed('r3', { status: 200, seen: { [key]: state(3, 'w2') } })],
    ['an instance that is missing', 'read', changed('r1', { status: 404, seen: {} })],
    ['a revision beyond the log', 'read', changed('r3', { revision: 7, status: 404 })],
    ['an answer older than was asked for', 'minRevision', changed('r2', { minRevision: 4 })],
    [
      'a client that goes back',
      'monotonic',
      withOperation(read({ id: 'r4', invokedAt: 75, revision: 1, seen: { [key]: state(1, 'w1') } })),
    ],
    ...watcherFaults.map(([what, sets]): [string, Rule, History] => [
      `a watcher that ${what}`,
      'watch',
      history({ watchers: [{ name: 'watcher', sets }] }),
    ]),
  ])('finds %s', (_, rule, broken) => {
    expect(violated(broken)).toContain(rule)
  })

  it('lets a write whose answer was lost have happened later, or never', () => {
    expect(checkHistory(changed('w5', { completedAt: 81 }))).toEqual([])
    const never = write({ id: 'w9', invokedAt: 96, status: null })
    expect(checkHistory(withOperation(never))).toEqual([])
    expect(checkHistory(changed('w5', { status: 503 }))).toEqual([])
  })

  it('lets an answer be old that nobody asked to be new', () => {
    const old = read({
      id: 'r5',
      client: 'c9',
      invokedAt: 75,
      revision: 2,
      monotonic: false,
      seen: { [key]: state(2, 'w2') },
    })
    expect(checkHistory(withOperation(old))).toEqual([])
  })

  describe('of the lines of a batch', () => {
    const other = 'alpha/i1'
    const lines = (second: Partial<WriteOperation> = {}): readonly Operation[] => [
      write({ id: `b/${key}`, invokedAt: 0, status: 201, revision: 1 }),
      write({ id: `b/${other}`, invokedAt: 0, key: other, status: 201, revision: 2, ...second }),
    ]
    const of = (at: string, revision: number, actor = 'rest:b'): LogRevision => ({
      revision,
      changes: [entry({ key: at, actor, before: null, after: state(revision, `b/${at}`) })],
    })
    const batch = (all: readonly Operation[], sets = [of(key, 1), of(other, 2)]): History => ({
      ...withLog(sets),
      operations: all,
    })

    it('takes each for a write of its own', () => {
      expect(checkHistory(batch(lines()))).toEqual([])
      expect(checkHistory(batch(lines({ status: null, revision: null })))).toEqual([])
    })

    it.each<[string, Rule, History]>([
      ['a line that is not there', 'lost', batch(lines(), [of(key, 1)])],
      ['a line at another place', 'lost', batch(lines({ revision: 1 }))],
      ['a line that was refused and happened', 'refused', batch(lines({ status: 404 }))],
      ['a line that nobody sent', 'attribution', batch(lines().slice(0, 1))],
    ])('finds %s', (_, rule, broken) => {
      expect(violated(broken)).toContain(rule)
    })
  })
})
