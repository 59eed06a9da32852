import { expect, test } from 'vitest'
import { shortType } from './short-type.ts'

test.each([
  ['type.googleapis.com/envoy.config.route.v3.RouteConfiguration', 'RouteConfiguration'],
  ['type.googleapis.com/envoy.admin.v3.ClustersConfigDump', 'ClustersConfigDump'],
  ['Plain', 'Plain'],
])('%s is %s for short', (typeUrl, short) => {
  expect(shortType(typeUrl)).toBe(short)
})
