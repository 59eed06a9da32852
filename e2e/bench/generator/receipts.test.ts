import { endpointType } from '@waymark/control-plane/xds/type-urls.ts'
import { expect, test } from 'vitest'
import { endpointsBody } from '../servers/endpoints-body.ts'
import type { DeltaResource } from './delta-response.ts'
import { ChangeReceipts, portOfChange, VersionReceipts } from './receipts.ts'

/** The endpoints of `payments` whose instances got their ports by these changes. */
const withChanges = (...changes: readonly number[]): DeltaResource => ({
  name: 'payments',
  version: changes.join(),
  body: Buffer.from(endpointsBody('payments', [80, ...changes.map(portOfChange)])),
})

test('a version is told when all expected streams have it, with all times', async () => {
  const receipts = new VersionReceipts('payments')
  receipts.expect(2)
  receipts.see(endpointType, withChanges(1), 10)
  receipts.see(endpointType, withChanges(2), 11)
  receipts.see(endpointType, { ...withChanges(1), name: 'orders' }, 12)
  receipts.see(endpointType, withChanges(2), 13)
  expect(await receipts.next()).toEqual({ version: '2', at: [11, 13] })
})

test('a stream that gets a later change without the one before it has both', () => {
  const receipts = new ChangeReceipts()
  let first = receipts.see(withChanges(), -1, 0)
  let second = first
  first = receipts.see(withChanges(1), first, 10)
  first = receipts.see(withChanges(1, 4), first, 20)
  second = receipts.see(withChanges(1, 4), second, 30)
  second = receipts.see(withChanges(1, 4), second, 40)
  expect([first, second]).toEqual([4, 4])
  expect(receipts.all()).toEqual([
    [1, 2, 10, 30],
    [4, 2, 20, 30],
  ])
})

test('changes that came in one version are all seen', () => {
  const receipts = new ChangeReceipts()
  receipts.see(withChanges(2, 3), -1, 10)
  expect(receipts.all()).toEqual([
    [2, 1, 10, 10],
    [3, 1, 10, 10],
  ])
})
