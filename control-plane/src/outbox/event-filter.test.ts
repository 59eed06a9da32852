import { describe, expect, it } from 'vitest'
import { loggedChange } from '../../test/support/changes.ts'
import { eventFilter } from './event-filter.ts'
import type { LoggedChange } from '../domain/outbox.ts'

const document = loggedChange({ revision: 1, name: 'payments' })
const instance: LoggedChange = {
  ...document,
  aggregateType: 'instance',
  aggregateId: 'payments/p1',
  type: 'instance.updated',
}
const policyOf = (destination: string, gone = false): LoggedChange => {
  const policy = { kind: 'TrafficPolicy', name: 'x', spec: { destination }, revision: 1 }
  return {
    ...document,
    aggregateId: 'TrafficPolicy/x',
    payload: JSON.stringify(gone ? { before: policy, after: null } : { before: null, after: policy }),
  }
}

describe('the filter of a sink', () => {
  it('lets everything through where there is none', () => {
    for (const change of [document, instance]) expect(eventFilter(undefined)(change)).toBe(true)
    expect(eventFilter({})(instance)).toBe(true)
  })

  it('picks types, one by one or all of a kind', () => {
    expect(eventFilter({ types: ['instance.updated'] })(instance)).toBe(true)
    expect(eventFilter({ types: ['instance.*'] })(instance)).toBe(true)
    expect(eventFilter({ types: ['instance.registered', 'document.*'] })(instance)).toBe(false)
    expect(eventFilter({ types: ['document.*'] })(document)).toBe(true)
  })

  it('picks services, by instances, by the names of documents and by their destinations', () => {
    const wants = eventFilter({ services: ['payments'] })
    expect(wants(instance)).toBe(true)
    expect(wants({ ...instance, aggregateId: 'payments.shop/payments' })).toBe(false)
    expect(wants(document)).toBe(true)
    expect(wants(policyOf('payments'))).toBe(true)
    expect(wants(policyOf('payments', true))).toBe(true)
    expect(wants(policyOf('orders'))).toBe(false)
  })

  it('asks for both where both are set', () => {
    const wants = eventFilter({ types: ['instance.health'], services: ['payments'] })
    expect(wants(instance)).toBe(false)
    expect(wants({ ...instance, type: 'instance.health' })).toBe(true)
  })
})
