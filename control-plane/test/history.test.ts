import fc from 'fast-check'
import { expect, it, onTestFinished } from 'vitest'
import type { Change } from '../src/domain/change.ts'
import { WaymarkError } from '../src/domain/errors.ts'
import type { EvidenceStatus } from '../src/domain/evidence.ts'
import type { MeshSnapshot } from '../src/domain/snapshot.ts'
import { createTestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { startReplica, type TestReplica } from './support/replica.ts'
import { context, instanceSpec } from './support/specs.ts'

/** One thing that a user, a check or an operator may do, at one of two replicas. */
type Step =
  | { readonly do: 'register'; readonly service: string; readonly id: string; readonly port: number }
  | { readonly do: 'deregister'; readonly service: string; readonly id: string; readonly drain: boolean }
  | { readonly do: 'observe'; readonly service: string; readonly id: string; readonly status: EvidenceStatus }
  | { readonly do: 'override'; readonly service: string; readonly id: string; readonly set: boolean }
  | { readonly do: 'apply'; readonly name: string; readonly value: number }
  | { readonly do: 'delete'; readonly name: string }

// Few names, so that histories meet themselves again.
const service = fc.constantFrom('a', 'b')
const id = fc.constantFrom('x', 'y', 'z')
const name = fc.constantFrom('a', 'b')
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('register' as const),
      service,
      id,
      port: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('deregister' as const), service, id, drain: fc.boolean() }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('observe' as const),
      service,
      id,
      status: fc.constantFrom<EvidenceStatus[]>('passing', 'warning', 'critical'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('override' as const), service, id, set: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('apply' as const), name, value: fc.integer({ min: 1, max: 2 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), name }) },
)
/** Groups are done one after the other, the steps of a group at the same time. */
const history = fc.array(
  fc.array(fc.record({ step, replica: fc.constantFrom(0, 1) }), { minLength: 1, maxLength: 8 }),
  { minLength: 1, maxLength: 6 },
)

const perform = ({ registry }: TestReplica, action: Step): Promise<unknown> => {
  switch (action.do) {
    case 'register':
      return registry.register({ ...action, spec: instanceSpec({ port: action.port }) }, context)
    case 'deregister':
      return registry.deregister(
        { ...action, incarnation: null, drainMs: action.drain ? 60_000 : null },
        context,
      )
    case 'observe':
      return registry.observe(
        { ...action, source: 'check:0', observer: 'test', output: action.status, validForMs: null },
        context,
      )
    case 'override':
      return registry.override(
        { ...action, override: action.set ? { status: 'maintenance', reason: 'test' } : null },
        context,
      )
    case 'apply':
      return registry.applyDocument(
        { kind: 'Service', name: action.name, spec: { value: action.value }, ifMatch: null },
        context,
      )
    case 'delete':
      return registry.deleteDocument({ kind: 'Service', name: action.name, ifMatch: null }, context)
  }
}

/** An equal registration raises the incarnation without a change in the log, so only Postgres has the newest. */
const logged = <T extends object | null>(subject: T): T =>
  subject !== null && 'incarnation' in subject ? { ...subject, incarnation: 0 } : subject

/** The state that the log speaks of, in an order of its own. */
const sorted = ({ revision, instances, documents }: MeshSnapshot): object => ({
  revision,
  instances: instances
    .map(logged)
    .toSorted((a, b) => (`${a.service}/${a.id}` < `${b.service}/${b.id}` ? -1 : 1)),
  documents: documents.toSorted((a, b) => (`${a.kind}/${a.name}` < `${b.kind}/${b.name}` ? -1 : 1)),
})

/** The state to which the changes lead; each must begin where the last one of its aggregate ended. */
const replay = (changes: readonly Change[], revision: number): MeshSnapshot => {
  const aggregates = new Map<string, NonNullable<Change['after']>>()
  for (const change of changes) {
    const key = `${change.aggregateType} ${change.aggregateId}`
    expect(logged(change.before)).toEqual(logged(aggregates.get(key) ?? null))
    if (change.after === null) aggregates.delete(key)
    else aggregates.set(key, change.after)
  }
  const all = [...aggregates.values()]
  return {
    revision,
    instances: all.filter(subject => 'service' in subject),
    documents: all.filter(subject => 'kind' in subject),
  }
}

it('whatever two replicas are asked at once, both have what the log and a fresh read of Postgres give', async () => {
  const database = await createTestDatabase()
  onTestFinished(() => database.destroy())
  const replicas = [startReplica(database), startReplica(database)] as const
  onTestFinished(async () => {
    await Promise.all(replicas.map(replica => replica.stop()))
  })
  const [{ log }] = replicas

  await fc.assert(
    fc.asyncProperty(history, async groups => {
      for (const group of groups) {
        const results = await Promise.allSettled(
          group.map(({ step: action, replica }) => perform(replicas[replica], action)),
        )
        for (const result of results) {
          // What does not fit the state of the moment is refused by name; nothing else may go wrong.
          if (result.status === 'rejected') {
            expect(result.reason).toBeInstanceOf(WaymarkError)
            expect(['instance_not_found', 'document_not_found']).toContain(
              (result.reason as WaymarkError).code,
            )
          }
        }
      }
      const { sets, head } = await log.readChanges({ after: 0, limit: 1_000_000 })
      await eventually(() => {
        for (const { mesh } of replicas) expect(mesh.revision).toBe(head)
      })
      const fresh = await log.readSnapshot()
      for (const { mesh } of replicas) {
        expect(sorted(mesh.snapshot())).toEqual(sorted(fresh))
        const { healthy, degraded, unhealthy, draining, maintenance, unknown } = mesh.census().instances
        const counted = { healthy, degraded, unhealthy, draining, maintenance, unknown }
        for (const { verdict } of fresh.instances) counted[verdict] -= 1
        expect(new Set(Object.values(counted))).toEqual(new Set([0]))
        for (const { service, id, incarnation } of fresh.instances)
          expect(mesh.instance(service, id)?.incarnation).toBeLessThanOrEqual(incarnation)
      }
      expect(sets.map(({ revision }) => revision)).toEqual(
        Array.from({ length: head }, (_, index) => index + 1),
      )
      expect(
        sorted(
          replay(
            sets.flatMap(({ changes }) => changes),
            head,
          ),
        ),
      ).toEqual(sorted(fresh))
    }),
    // Each history goes on where the last one ended, as the life of a mesh does.
    { numRuns: 60, endOnFailure: true },
  )
})
