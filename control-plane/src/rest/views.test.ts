import { expect, it } from 'vitest'
import { PureMesh } from '../../test/support/pure-mesh.ts'
import { context, instanceSpec } from '../../test/support/specs.ts'
import type { Observation } from '../registry/registry.ts'
import { instanceView } from './views.ts'

it('an instance is shown without what passive health keeps for itself', async () => {
  const { registry } = new PureMesh()
  await registry.register({ service: 's', id: 'a', spec: instanceSpec() }, context)
  const observation: Observation = {
    service: 's',
    id: 'a',
    source: 'traffic',
    observer: 'x',
    status: 'critical',
    output: '',
    validForMs: null,
    hold: { phase: 'ejected', share: 0, level: 1, from: '2026-01-01T00:00:00.000Z' },
  }
  const { result } = await registry.observe(observation, context)
  if (result === null) throw new Error('the instance is gone')
  expect(result.evidence).toMatchObject([
    { source: 'lease' },
    { source: 'traffic', hold: { phase: 'ejected' } },
  ])
  expect(instanceView(result).evidence.map(evidence => Object.keys(evidence).sort())).toEqual(
    Array(2).fill(['observedAt', 'observer', 'output', 'since', 'source', 'status', 'validUntil']),
  )
})
