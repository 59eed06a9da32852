import { beforeEach, describe, expect, it } from 'vitest'
import { PureMesh } from '../../test/support/pure-mesh.ts'
import { context, instanceSpec } from '../../test/support/specs.ts'
import type { Instance } from '../domain/instance.ts'
import type { Observation } from './registry.ts'

let pure: PureMesh

beforeEach(async () => {
  pure = new PureMesh()
  await pure.registry.register({ service: 'payments', id: 'a', spec: instanceSpec() }, context)
})

const register = (overrides: Parameters<typeof instanceSpec>[0] = {}) =>
  pure.registry.register({ service: 'payments', id: 'a', spec: instanceSpec(overrides) }, context)

const observe = (observation: Partial<Observation>) =>
  pure.registry.observe(
    {
      service: 'payments',
      id: 'a',
      source: 'lease',
      observer: 'test',
      status: 'passing',
      output: '',
      validForMs: null,
      ...observation,
    },
    context,
  )

const drain = (drainMs: number) =>
  pure.registry.deregister({ service: 'payments', id: 'a', incarnation: null, drainMs }, context)

const override = (asked: 'maintenance' | 'draining' | null) =>
  pure.registry.override(
    {
      service: 'payments',
      id: 'a',
      override: asked === null ? null : { status: asked, reason: 'a test' },
    },
    context,
  )

const instance = (): Instance => {
  const found = pure.mesh.instance('payments', 'a')
  if (found === undefined) throw new Error('the instance is gone')
  return found
}

const inMs = (ms: number): string => new Date(pure.now + ms).toISOString()

describe('registering', () => {
  it('again with the same words changes nothing but the incarnation', async () => {
    const before = instance()
    const { changed, result } = await register()
    expect(changed).toBe(false)
    expect(result.instance).toEqual({ ...before, incarnation: before.incarnation + 1 })
  })

  it('again ends a drain, but not maintenance', async () => {
    await drain(60_000)
    await register()
    expect(instance()).toMatchObject({ verdict: 'healthy', override: null, removeAt: null })
    await override('maintenance')
    await register({ weight: 7 })
    expect(instance()).toMatchObject({ verdict: 'maintenance', spec: { weight: 7 } })
  })

  it('again with other words keeps what checks of its service say about the same target', async () => {
    await observe({ source: 'service-check:0', status: 'critical' })
    await register({ weight: 7 })
    expect(instance().verdict).toBe('unhealthy')
    await register({ weight: 7, port: 81 })
    expect(instance()).toMatchObject({ verdict: 'healthy', evidence: [{ source: 'lease' }] })
  })

  it('again with other words begins to count changes of the verdict anew, with the same it does not', async () => {
    for (let index = 0; index < 4; index += 1) {
      await observe({ status: 'critical' })
      // It registers as the same after each expiry: a crash loop.
      await register()
    }
    expect(instance()).toMatchObject({ verdict: 'unhealthy', flapping: { held: { verdict: 'unhealthy' } } })
    await register({ version: 'v2' })
    expect(instance()).toMatchObject({ verdict: 'healthy', flapping: null, reviewAt: null })
  })

  it('again after an expiry brings the instance back', async () => {
    await observe({ status: 'critical', removeAfterMs: 600_000 })
    expect(instance()).toMatchObject({ verdict: 'unhealthy', removeAt: inMs(600_000) })
    const { changed } = await register()
    expect(changed).toBe(true)
    expect(instance()).toMatchObject({ verdict: 'healthy', removeAt: null })
  })

  it("does not inherit the previous process's bad word about itself", async () => {
    await observe({ source: 'report', status: 'critical', output: 'disk full' })
    expect(instance().verdict).toBe('unhealthy')
    await register()
    expect(instance()).toMatchObject({ verdict: 'healthy' })
    expect(instance().evidence.map(({ source }) => source)).toEqual(['lease'])
  })

  it('in other words keeps the evidence of checks that are still the same', async () => {
    const check = {
      kind: 'tcp',
      intervalMs: 1_000,
      timeoutMs: 500,
      healthyThreshold: 1,
      unhealthyThreshold: 1,
      port: null,
    } as const
    await register({ checks: [check, { ...check, intervalMs: 2_000 }] })
    await observe({ source: 'check:0', status: 'critical' })
    await observe({ source: 'check:1', status: 'critical' })
    await register({ checks: [check, { ...check, intervalMs: 3_000 }] })
    expect(instance().evidence.map(({ source }) => source)).toEqual(['lease', 'check:0'])
    await register({ port: 9_999, checks: [check] })
    expect(instance().evidence.map(({ source }) => source)).toEqual(['lease'])
  })
})

describe('leaving', () => {
  it('drains first; a repeated request may shorten the drain, not prolong it', async () => {
    await drain(60_000)
    expect(instance()).toMatchObject({ verdict: 'draining', removeAt: inMs(60_000) })
    await drain(90_000)
    expect(instance().removeAt).toBe(inMs(60_000))
    await drain(10_000)
    expect(instance().removeAt).toBe(inMs(10_000))
  })

  it('keeps its end when the lease expires meanwhile', async () => {
    await drain(60_000)
    await observe({ status: 'critical', removeAfterMs: 600_000 })
    expect(instance()).toMatchObject({ verdict: 'draining', removeAt: inMs(60_000) })
  })

  it('can be taken back by an operator', async () => {
    await drain(60_000)
    await override(null)
    expect(instance()).toMatchObject({ verdict: 'healthy', removeAt: null })
    await drain(60_000)
    await override('maintenance')
    expect(instance()).toMatchObject({ override: { leaving: false }, removeAt: null })
  })

  it('goes on when an operator says draining, too', async () => {
    await drain(60_000)
    await pure.registry.override(
      {
        service: 'payments',
        id: 'a',
        override: { status: 'draining', reason: 'a test', ends: { afterMs: 2_000 } },
      },
      context,
    )
    // Its removal is its end.
    expect(instance()).toMatchObject({
      override: { leaving: true, expiresAt: null },
      removeAt: inMs(60_000),
      reviewAt: null,
    })
  })

  it.each([null, 'maintenance'] as const)(
    'taken back (%s) leaves an instance that had expired before its end',
    async status => {
      await observe({ status: 'critical', removeAfterMs: 600_000 })
      await drain(60_000)
      pure.now += 5_000
      await override(status)
      expect(instance()).toMatchObject({ override: status && { leaving: false }, removeAt: inMs(600_000) })
    },
  )
})

describe("an operator's drain", () => {
  it('has no end of its own, but ends with the lease', async () => {
    await override('draining')
    expect(instance()).toMatchObject({ verdict: 'draining', removeAt: null })
    await observe({ status: 'critical', removeAfterMs: 600_000 })
    expect(instance()).toMatchObject({ verdict: 'draining', removeAt: inMs(600_000) })
    await observe({ status: 'passing', removeAfterMs: null })
    expect(instance()).toMatchObject({ verdict: 'draining', removeAt: null })
  })
})

describe('observing', () => {
  it('changes nothing when the evidence says the same', async () => {
    await observe({ source: 'check:0', status: 'warning', output: 'slow' })
    const before = instance()
    pure.now += 5_000
    const { changed } = await observe({ source: 'check:0', status: 'warning', output: 'slow' })
    expect(changed).toBe(false)
    expect(instance()).toBe(before)
  })

  it('keeps since when a status holds', async () => {
    await observe({ source: 'check:0', status: 'warning', output: 'slow' })
    const since = instance().evidence.find(({ source }) => source === 'check:0')?.since
    pure.now += 5_000
    await observe({ source: 'check:0', status: 'warning', output: 'slower' })
    expect(instance().evidence.find(({ source }) => source === 'check:0')).toMatchObject({
      since,
      output: 'slower',
      observedAt: inMs(0),
    })
  })

  it('leaves an instance alone that has gone', async () => {
    const { changed, result } = await observe({ id: 'nobody', status: 'critical' })
    expect([changed, result]).toEqual([false, null])
  })
})
