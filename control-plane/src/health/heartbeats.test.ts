import { expect, it } from 'vitest'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { PureMesh } from '../../test/support/pure-mesh.ts'
import { context, instanceSpec } from '../../test/support/specs.ts'
import { silentLogger } from '../runtime/logger.ts'
import { Heartbeats } from './heartbeats.ts'

it('has what an instance said last stand, also while what it said before is still being written', async () => {
  const { registry, mesh } = new PureMesh()
  await registry.register({ service: 's', id: 'a', spec: instanceSpec() }, context)
  const gates: PromiseWithResolvers<undefined>[] = []
  const heartbeats = new Heartbeats({
    mesh,
    registry: {
      observe: async (...input) => {
        const gate = Promise.withResolvers<undefined>()
        gates.push(gate)
        await gate.promise
        return registry.observe(...input)
      },
    },
    leases: { renew: () => Promise.resolve([]), find: () => Promise.resolve(undefined) },
    replicaId: 'me',
    clock: new ManualClock(),
    logger: silentLogger,
  })
  const say = (status: 'passing' | 'critical') =>
    heartbeats.beat({ service: 's', id: 'a', incarnation: null, report: { status, output: '' } })
  const settled = () => new Promise(resolve => setImmediate(resolve))
  const first = say('passing')
  await settled()
  gates.shift()?.resolve(undefined)
  await first
  const both = [say('critical'), say('passing')]
  await settled()
  expect(gates).toHaveLength(2)
  for (const gate of gates.splice(0)) {
    gate.resolve(undefined)
    await settled()
  }
  await Promise.all(both)
  expect(mesh.instance('s', 'a')?.evidence).toMatchObject([
    { source: 'lease' },
    { source: 'report', status: 'passing' },
  ])
  // Nothing is under way any more, and memory shows it: a repetition is not written.
  await say('passing')
  expect(gates).toEqual([])
})
