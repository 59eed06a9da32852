import type { NetworkInterfaceInfo } from 'node:os'
import { expect, it } from 'vitest'
import { reachableHost } from './reachable-host.ts'

const address = (text: string, internal = false): NetworkInterfaceInfo => {
  const common = { address: text, netmask: '', mac: '', internal, cidr: null }
  return text.includes(':') ? { ...common, family: 'IPv6', scopeid: 0 } : { ...common, family: 'IPv4' }
}
const interfaces = {
  lo: [address('127.0.0.1', true), address('::1', true)],
  eth0: [address('fe80::1'), address('fd00::7'), address('10.0.0.7')],
}

it('is the host itself, or an address of the machine for a listener on all of them', () => {
  expect(reachableHost('127.0.0.1', interfaces)).toBe('127.0.0.1')
  expect(reachableHost('waymark.internal', interfaces)).toBe('waymark.internal')
  expect(reachableHost('0.0.0.0', interfaces)).toBe('10.0.0.7')
  expect(reachableHost('::', interfaces)).toBe('10.0.0.7')
  expect(reachableHost('::', { eth0: [address('fe80::1'), address('fd00::7')] })).toBe('fd00::7')
})

it('stays what it is where there is no other', () => {
  expect(reachableHost('0.0.0.0', { eth0: [address('fd00::7')] })).toBe('0.0.0.0')
})
