import { describe, expect, it } from 'vitest'
import { instanceSpec } from '../../test/support/specs.ts'
import { PureMesh } from '../../test/support/pure-mesh.ts'
import type { Evidence } from '../domain/evidence.ts'
import type { TrafficHold } from '../domain/traffic-hold.ts'
import { endpointsOf } from './instance-endpoints.ts'

const service = 'payments'
const hold = (phase: TrafficHold['phase'], share: number): TrafficHold => ({
  phase,
  share,
  level: 1,
  from: '2026-01-01T00:00:00.000Z',
})

/** The endpoint of an instance about which this has been observed. */
const endpoint = async (
  weight: number,
  ...observed: readonly (Pick<Evidence, 'source' | 'status'> & { hold?: TrafficHold })[]
) => {
  const pure = new PureMesh()
  const context = { actor: 'test', traceparent: null }
  const spec = instanceSpec({ weight, lease: null })
  await pure.registry.register({ service, id: 'a', spec }, context)
  for (const one of observed) {
    const observation = { service, id: 'a', observer: 'test', output: one.status, validForMs: null, ...one }
    await pure.registry.observe(observation, context)
  }
  const state = pure.mesh.service(service)
  const [found] = state === undefined ? [] : endpointsOf(state)
  return { weight: found?.weight, health: found?.health }
}

describe('endpointsOf', () => {
  const trial = { source: 'traffic', status: 'warning', hold: hold('trial', 0.1) } as const

  it('gives an instance on trial a share of its weight, and no health by which Envoy would leave it out', async () => {
    expect(await endpoint(100, trial)).toEqual({ weight: 10, health: 'HEALTHY' })
    expect(await endpoint(100, { ...trial, hold: hold('trial', 0.4) })).toEqual({
      weight: 40,
      health: 'HEALTHY',
    })
    expect(await endpoint(100, trial, { source: 'check:0', status: 'passing' })).toEqual({
      weight: 10,
      health: 'HEALTHY',
    })
  })

  it('knows no weight below one', async () => {
    expect(await endpoint(3, trial)).toEqual({ weight: 1, health: 'HEALTHY' })
  })

  it('says what it is when something else speaks against it as well', async () => {
    expect(await endpoint(100, trial, { source: 'report', status: 'warning' })).toEqual({
      weight: 100,
      health: 'DEGRADED',
    })
    expect(await endpoint(100, trial, { source: 'check:0', status: 'critical' })).toEqual({
      weight: 100,
      health: 'UNHEALTHY',
    })
  })

  it('leaves an ejected instance out and gives a readmitted one everything', async () => {
    const ejected = { source: 'traffic', status: 'critical', hold: hold('ejected', 0) } as const
    expect(await endpoint(100, ejected)).toEqual({ weight: 100, health: 'UNHEALTHY' })
    const back = { source: 'traffic', status: 'passing', hold: hold('readmitted', 1) } as const
    expect(await endpoint(100, ejected, back)).toEqual({ weight: 100, health: 'HEALTHY' })
  })
})
