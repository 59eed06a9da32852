import fc from 'fast-check'
import { expect, test } from 'vitest'
import { XdsCounters } from '../counters.ts'
import { clusterType, endpointType } from '../type-urls.ts'
import { PushSteps } from './push-steps.ts'
import type { StepTrace } from './push-tracer.ts'

const setUp = (head = 0) => {
  const counters = new XdsCounters()
  const traced: { readonly revision: number; ended: boolean }[] = []
  const begin = (revision: number): StepTrace => {
    const trace = { revision, ended: false }
    traced.push(trace)
    return {
      sent: () => undefined,
      answered: () => undefined,
      end: () => {
        expect(trace.ended).toBe(false)
        trace.ended = true
      },
    }
  }
  const steps = new PushSteps({ head, counters, clock: { now: () => 5_000 }, tracer: { begin } })
  const convergence = (typeUrl: string) => counters.of(typeUrl).convergence
  const join = (typeUrl: string) => {
    const step = steps.of(typeUrl).current
    step.join()
    return step
  }
  return { steps, traced, convergence, join }
}

test('a change is measured once for each type, from its commit to the last ACK', () => {
  const { steps, traced, convergence, join } = setUp()
  const [one, two] = [join(endpointType), join(endpointType)]
  const clusters = join(clusterType)
  steps.release(1, 1_000)
  one.leave(1_020)
  expect(convergence(endpointType).counts).toEqual(new Array(15).fill(0))
  two.leave(1_200)
  expect(convergence(endpointType).sum).toBeCloseTo(0.2)
  expect([steps.traces, traced[0]?.ended]).toEqual([true, false])
  clusters.leave(1_500)
  expect(convergence(clusterType).sum).toBeCloseTo(0.5)
  expect([steps.traces, traced]).toEqual([false, [{ revision: 1, ended: true }]])
})

test('who leaves without an ACK is not measured, but no longer waited for', () => {
  const { steps, convergence, join } = setUp()
  const [one, two, only] = [join(endpointType), join(endpointType), join(clusterType)]
  steps.release(1, 1_000)
  one.leave(1_100)
  two.leave(undefined)
  only.leave(undefined)
  expect(convergence(endpointType).sum).toBeCloseTo(0.1)
  expect(convergence(clusterType).counts).toEqual(new Array(15).fill(0))
  expect(steps.traces).toBe(false)
})

test('a change without a time of commit counts from now, one without a revision not at all', () => {
  const { steps, traced, convergence, join } = setUp(3)
  const rotated = join(clusterType)
  steps.release(3, undefined)
  rotated.leave(9_000)
  expect([convergence(clusterType).sum, traced]).toEqual([0, []])
  const changed = join(clusterType)
  steps.release(4, undefined)
  changed.leave(5_250)
  expect(convergence(clusterType).sum).toBeCloseTo(0.25)
})

test('a step that is answered before it is released waits for its release', () => {
  const { steps, traced, join } = setUp()
  join(clusterType).leave(undefined)
  expect(traced).toEqual([])
  steps.release(1, 1_000)
  expect(traced).toEqual([{ revision: 1, ended: true }])
})

test('whatever is touched and however it is answered, every trace ends once and every step is measured once', () => {
  const step = fc.record({
    clusters: fc.integer({ min: 0, max: 3 }),
    endpoints: fc.integer({ min: 0, max: 3 }),
    acked: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), fc.infiniteStream(fc.nat()), (plan, choices) => {
      const { steps, traced, convergence, join } = setUp()
      const open: (() => void)[] = []
      const expected = { clusters: 0, endpoints: 0, traces: 0 }
      for (const [index, { clusters, endpoints, acked }] of plan.entries()) {
        for (const [count, typeUrl, key] of [
          [clusters, clusterType, 'clusters'],
          [endpoints, endpointType, 'endpoints'],
        ] as const) {
          if (acked && count > 0) expected[key] += 1
          for (let n = 0; n < count; n += 1) {
            const joined = join(typeUrl)
            open.push(() => {
              joined.leave(acked ? 2_000 : undefined)
            })
          }
        }
        if (clusters + endpoints > 0) expected.traces += 1
        steps.release(index + 1, 1_000)
      }
      while (open.length > 0) open.splice((choices.next().value ?? 0) % open.length, 1)[0]?.()
      const total = (typeUrl: string) => convergence(typeUrl).counts.reduce((sum, count) => sum + count, 0)
      expect([total(clusterType), total(endpointType)]).toEqual([expected.clusters, expected.endpoints])
      expect(traced.filter(({ ended }) => ended)).toHaveLength(expected.traces)
      expect(steps.traces).toBe(false)
    }),
  )
})
