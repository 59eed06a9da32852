import { describe, expect, it } from 'vitest'
import { canonicalAddress } from './ip-address.ts'

describe('canonicalAddress', () => {
  it.each([
    ['10.0.3.7', '10.0.3.7'],
    ['127.0.0.1', '127.0.0.1'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['::1', '::1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:0a00:0001', '10.0.0.1'],
    ['fe80::1', 'fe80::1'],
  ])('writes %s as %s', (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical)
  })

  it.each([
    'payments',
    'payments.internal',
    'localhost',
    '010.0.0.1',
    '10.0.0',
    '10.0.0.256',
    '0.0.0.0',
    '0.1.2.3',
    '255.255.255.255',
    '224.0.0.1',
    '239.255.255.255',
    '::',
    'ff02::1',
    '::ffff:0.0.0.0',
    '::ffff:224.0.0.1',
    'fe80::1%eth0',
    '[::1]',
    '10.0.0.1:80',
    '',
  ])('refuses %s', text => {
    expect(canonicalAddress(text)).toBeUndefined()
  })
})
