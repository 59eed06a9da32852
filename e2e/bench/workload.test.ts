import fc from 'fast-check'
import { expect, test } from 'vitest'
import { instanceAt, ZipfUpstreams } from './workload.ts'

test('the upstreams of a sidecar are different ones, and the same whoever asks', () => {
  fc.assert(
    fc.property(
      fc.nat(100_000),
      fc.integer({ min: 1, max: 200 }),
      fc.nat(30),
      (sidecar, services, upstreams) => {
        const chosen = new ZipfUpstreams({ services, upstreams }).of(sidecar)
        expect(new Set(chosen).size).toBe(Math.min(services, upstreams))
        expect(chosen).toEqual(new ZipfUpstreams({ services, upstreams }).of(sidecar))
      },
    ),
  )
})

test('the first services are called by nearly all sidecars, the last by few', () => {
  const zipf = new ZipfUpstreams({ services: 1_000, upstreams: 20 })
  const callers = (service: string): number =>
    Array.from({ length: 500 }, (_, sidecar) => zipf.of(sidecar)).filter(all => all.includes(service)).length
  expect(callers('svc-0')).toBeGreaterThan(450)
  expect(callers('svc-999')).toBeLessThan(25)
})

test('no two instances have the same service and id, or the same address', () => {
  const instances = Array.from({ length: 172_000 }, (_, index) => instanceAt(index, { services: 5_000 }))
  expect(new Set(instances.map(({ service, id }) => `${service}/${id}`)).size).toBe(instances.length)
  expect(new Set(instances.map(({ address }) => address)).size).toBe(instances.length)
})
