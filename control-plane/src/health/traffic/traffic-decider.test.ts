import { expect, it } from 'vitest'
import { ManualClock } from '../../../test/support/manual-clock.ts'
import { instanceSpec } from '../../../test/support/specs.ts'
import type { Instance } from '../../domain/instance.ts'
import type { TrafficHold } from '../../domain/traffic-hold.ts'
import type { Observation } from '../../registry/registry.ts'
import { silentLogger } from '../../runtime/logger.ts'
import { TrafficDecider } from './traffic-decider.ts'

const since = '1970-01-01T00:00:00.000Z'
const instance = (id: string, hold?: TrafficHold): Instance => ({
  service: 's',
  id,
  incarnation: 1,
  spec: instanceSpec({ lease: null }),
  verdict: 'healthy',
  evidence:
    hold === undefined
      ? []
      : [
          {
            source: 'traffic',
            observer: 'x',
            status: 'critical',
            output: '',
            observedAt: since,
            validUntil: null,
            since,
            hold,
          },
        ],
  override: null,
  flapping: null,
  reviewAt: null,
  removeAt: null,
  registeredAt: since,
  revision: 1,
})

it('waits for what it has written, but not in a database that was restored to a time before', async () => {
  const observed: Observation[] = []
  const ejected: TrafficHold = { phase: 'ejected', share: 0, level: 1, from: since }
  const instances = new Map([
    ['a', instance('a', ejected)],
    ...['b', 'c'].map(id => [id, instance(id)] as const),
  ])
  const mesh = { revision: 100, service: () => ({ document: undefined, instances }) }
  let now = 60_000
  const decider = new TrafficDecider({
    mesh,
    held: { services: () => ['s'] },
    table: { read: () => Promise.resolve({ now, rows: [] }) },
    registry: {
      observe: observation => {
        observed.push(observation)
        return Promise.resolve({ result: null, revision: 101, changed: true })
      },
      withdraw: () => Promise.reject(new Error('not asked for')),
    },
    members: () => ['me'],
    clock: new ManualClock(),
    logger: silentLogger,
  })
  await decider.step({ role: 'traffic', fence: 1 })
  expect(observed.map(({ hold }) => hold?.phase)).toEqual(['trial'])
  now += 3_600_000
  await decider.step({ role: 'traffic', fence: 1 })
  expect(observed).toHaveLength(1)
  mesh.revision = 50
  await decider.step({ role: 'traffic', fence: 1 })
  expect(observed.map(({ hold }) => hold?.phase)).toEqual(['trial', 'trial'])
})
