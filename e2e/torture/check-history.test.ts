import { describe, expect, it } from 'vitest'
import { checkHistory } from './check-history.ts'
import type {
  BeatOperation,
  DocumentWrite,
  History,
  InstanceWrite,
  ItemState,
  LogEntry,
  LogRevision,
  Operation,
  ReadOperation,
  Rule,
} from './history.ts'

const key = 'alpha/i0'

const state = (revision: number, mark: string, override: string | null = null): ItemState => ({
  revision,
  mark,
  override,
})

const entry = (more: Partial<LogEntry> & Pick<LogEntry, 'actor' | 'before' | 'after'>): LogEntry => ({
  key,
  type: `instance.${more.before === null ? 'registered' : more.after === null ? 'deregistered' : 'updated'}`,
  ...more,
})

const write = (more: Partial<InstanceWrite> & Pick<InstanceWrite, 'id' | 'invokedAt'>): InstanceWrite => ({
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
  groups: ['alpha'],
  key,
  unless: null,
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
    [
      'a change that does not say that it is the end',
      'chain',
      withLog(replaced(4, { type: 'instance.updated' })),
    ],
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
    ['a registration that says it was the first', 'answer', changed('w2', { status: 201 })],
    [
      'a registration that was refused as missing',
      'refused',
      withOperation(write({ id: 'w8', invokedAt: 55, status: 404 })),
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
    [
      'a write that nobody was told of, before what was known when it was asked for',
      'realTime',
      changed('w5', { invokedAt: 96, completedAt: 99 }),
    ],
    ['a stale state under a new revision', 'read', changed('r2', { seen: { [key]: state(2, 'w2') } })],
    ['a state out of nowhere', 'read', changed('r3', { status: 200, seen: { [key]: state(3, 'w2') } })],
    ['an instance that is missing', 'read', changed('r1', { status: 404, seen: {} })],
    ['a refusal of a question that is allowed', 'read', changed('r2', { status: 400, seen: {} })],
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
    const lines = (second: Partial<InstanceWrite> = {}): readonly Operation[] => [
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

  describe('of documents', () => {
    const name = 'Service/alpha'
    const policy = 'TrafficPolicy/alpha'
    const applied = (
      revision: number,
      [before, after]: readonly [before: ItemState | null, after: ItemState | null],
      more: Partial<LogEntry> = {},
    ): LogRevision => {
      const type = after === null ? 'document.deleted' : 'document.applied'
      return { revision, changes: [{ key: name, actor: `rest:d${revision}`, type, before, after, ...more }] }
    }
    /** Created, changed by one that has read it, deleted by one that has read that, created anew; and another one. */
    const sets: readonly LogRevision[] = [
      applied(1, [null, state(1, 'd1')]),
      applied(2, [state(1, 'd1'), state(2, 'd2')]),
      applied(3, [state(2, 'd2'), null]),
      applied(4, [null, state(4, 'd4')]),
      applied(5, [null, state(5, 'd5')], { key: policy }),
    ]
    const apply = (
      more: Partial<DocumentWrite> & Pick<DocumentWrite, 'id' | 'invokedAt'>,
    ): DocumentWrite => ({
      kind: 'apply',
      client: 'c0',
      key: name,
      mark: more.id,
      ifMatch: null,
      etag: more.revision ?? null,
      completedAt: more.invokedAt + 5,
      status: 200,
      revision: null,
      ...more,
    })
    const ofKinds = { groups: ['Service', 'TrafficPolicy'], key: null }
    const all: readonly Operation[] = [
      apply({ id: 'd1', invokedAt: 0, status: 201, revision: 1, ifMatch: 'absent' }),
      read({ id: 'e1', invokedAt: 10, key: name, revision: 1, seen: { [name]: state(1, 'd1') } }),
      apply({ id: 'd2', invokedAt: 20, revision: 2, ifMatch: 1 }),
      apply({ id: 'late', invokedAt: 28, status: 412, revision: 2, ifMatch: 1, etag: null }),
      apply({ id: 'same', invokedAt: 34, revision: 2, mark: 'd2', ifMatch: 2 }),
      apply({ id: 'd3', invokedAt: 40, kind: 'delete', status: 204, revision: 3, ifMatch: 2, etag: null }),
      apply({ id: 'gone', invokedAt: 46, kind: 'delete', status: 404, revision: 3, etag: null }),
      read({ id: 'e2', invokedAt: 52, key: name, revision: 3, status: 404 }),
      apply({ id: 'd4', invokedAt: 58, status: 201, revision: 4 }),
      read({ id: 'e3', invokedAt: 64, key: name, revision: 4, status: 304, unless: 4 }),
      apply({ id: 'd5', invokedAt: 70, status: 201, revision: 5, key: policy }),
      read({
        id: 'e4',
        invokedAt: 76,
        ...ofKinds,
        revision: 5,
        seen: { [name]: state(4, 'd4'), [policy]: state(5, 'd5') },
      }),
      read({
        id: 'e5',
        invokedAt: 82,
        ...ofKinds,
        revision: 2,
        monotonic: false,
        seen: { [name]: state(2, 'd2') },
      }),
    ]
    const documents = (operations = all, log = sets, seen = log): History => ({
      operations,
      logs: [{ replica: 'replica-1', sets: log }],
      watchers: [{ name: 'watcher', sets: seen }],
    })
    const but = (id: string, more: object): History => {
      expect(all.map(one => one.id)).toContain(id)
      return documents(all.map(one => (one.id === id ? { ...one, ...more } : one)))
    }
    const and = (one: Operation): History => documents([...all, one])
    const instead = (revision: number, by: LogRevision): readonly LogRevision[] =>
      sets.map(set => (set.revision === revision ? by : set))

    it('finds nothing wrong with what is right', () => {
      expect(checkHistory(documents())).toEqual([])
    })

    it('lets a write whose answer was lost have happened, or not', () => {
      for (const status of [null, 500, 503])
        expect(checkHistory(but('d5', { status, revision: null }))).toEqual([])
      expect(checkHistory(and(apply({ id: 'd6', invokedAt: 90, status: null, ifMatch: 1 })))).toEqual([])
    })

    it('lets one of two that have read the same version be refused, whichever answer comes first', () => {
      const late = apply({ id: 'late', invokedAt: 21, completedAt: 22, status: 412, ifMatch: 1, etag: null })
      expect(checkHistory(documents(all.map(one => (one.id === 'late' ? late : one))))).toEqual([])
    })

    it.each<[string, Rule, History]>([
      ['a lost write', 'lost', and(apply({ id: 'd6', invokedAt: 90, revision: 5 }))],
      [
        'a lost deletion',
        'lost',
        and(apply({ id: 'd6', invokedAt: 90, kind: 'delete', status: 204, revision: 5 })),
      ],
      [
        'a lost write that another one has overwritten',
        'lost',
        and(apply({ id: 'd6', invokedAt: 25, revision: 2 })),
      ],
      ['a repetition of what was no longer there', 'lost', but('same', { mark: 'd1' })],
      ['an answer that names another place', 'lost', but('d2', { revision: 3 })],
      [
        'an update that two have made of one version',
        'precondition',
        documents(
          [...all, apply({ id: 'd6', invokedAt: 90, revision: 6, ifMatch: 2 })],
          [...sets, applied(6, [state(4, 'd4'), state(6, 'd6')])],
        ),
      ],
      [
        'such an update of which nobody was told',
        'precondition',
        documents(
          [...all, apply({ id: 'd6', invokedAt: 90, status: null, ifMatch: 2 })],
          [...sets, applied(6, [state(4, 'd4'), state(6, 'd6')])],
        ),
      ],
      ['a creation of what was there', 'precondition', but('d2', { ifMatch: 'absent' })],
      ['a change of a version that was gone', 'precondition', but('d4', { ifMatch: 2 })],
      ['a repetition upon another version', 'precondition', but('same', { ifMatch: 1 })],
      ['a deletion of another version', 'precondition', but('d3', { ifMatch: 1 })],
      ['a version conflict without a conflict', 'refused', but('late', { ifMatch: 2 })],
      ['a version conflict before there was one', 'refused', but('late', { invokedAt: 12, completedAt: 13 })],
      ['a version conflict of a write that asked for none', 'refused', but('late', { ifMatch: null })],
      ['a version conflict, and yet it happened', 'refused', but('d2', { status: 412, ifMatch: 2 })],
      [
        'a deletion that found nothing, although it was there',
        'refused',
        but('gone', { invokedAt: 26, completedAt: 27 }),
      ],
      ['a write that found nothing', 'refused', but('d4', { status: 404 })],
      ['an answer that says it was the first', 'answer', but('d2', { status: 201 })],
      ['an answer that says it was not the first', 'answer', but('d4', { status: 200 })],
      ['an answer with the ETag of another version', 'answer', but('d2', { etag: 1 })],
      ['a repetition with an ETag of its own', 'answer', but('same', { etag: 3 })],
      ['a stale read', 'read', but('e4', { seen: { [name]: state(2, 'd2'), [policy]: state(5, 'd5') } })],
      ['a list that lacks one', 'read', but('e4', { seen: { [name]: state(4, 'd4') } })],
      ['a past that knows the future', 'read', but('e5', { seen: { [name]: state(4, 'd4') } })],
      ['a past with another ETag', 'read', but('e5', { seen: { [name]: state(1, 'd2') } })],
      ['a version that is said to hold, and does not', 'read', but('e3', { unless: 2 })],
      [
        'a version that holds, and is sent',
        'read',
        but('e3', { status: 200, seen: { [name]: state(4, 'd4') } }),
      ],
      ['an answer older than was asked for', 'minRevision', but('e3', { minRevision: 5 })],
      ['a client that goes back', 'monotonic', but('e5', { monotonic: true })],
      ['a write before what was known', 'realTime', but('d2', { invokedAt: 47, completedAt: 49 })],
      [
        'a write that happened twice',
        'attribution',
        documents(all, [...sets, applied(6, [state(4, 'd4'), state(6, 'd4')], { actor: 'rest:d4' })]),
      ],
      [
        'a write of something else',
        'attribution',
        documents(all, instead(5, applied(5, [null, state(5, 'd1')], { key: policy }))),
      ],
      ['a write to another place', 'attribution', but('d5', { key: name })],
      [
        'a deletion that did not end it',
        'chain',
        documents(all, instead(3, applied(3, [state(2, 'd2'), null], { type: 'document.applied' }))),
      ],
      [
        'a change from nothing to nothing',
        'chain',
        documents(all, [...sets, applied(6, [null, null], { key: 'Service/beta' })]),
      ],
      [
        'a revision without what it changed',
        'gapless',
        documents(all, instead(2, { revision: 2, changes: [] })),
      ],
      [
        'a watcher that is told twice',
        'watch',
        documents(all, sets, [...sets.slice(0, 2), ...sets.slice(1)]),
      ],
      [
        'a watcher that is told of another state',
        'watch',
        documents(all, sets, instead(4, applied(4, [null, state(4, 'd2')]))),
      ],
      [
        'a watcher that is told too early',
        'watch',
        documents(all, sets, [
          ...sets.slice(0, 1),
          ...sets.slice(2, 3),
          ...sets.slice(1, 2),
          ...sets.slice(3),
        ]),
      ],
    ])('finds %s', (_, rule, broken) => {
      expect(violated(broken)).toContain(rule)
    })
  })
})
