import { describe, expect, it } from 'vitest'
import { isAllowedHost } from './host-guard.ts'

describe('isAllowedHost', () => {
  const overLoopback = (host: string | undefined, localAddress = '127.0.0.1') =>
    isAllowedHost({ host, localAddress })

  it('answers for addresses and localhost', () => {
    for (const host of [
      '127.0.0.1',
      '127.0.0.1:7400',
      '10.1.2.3:80',
      '[::1]:7400',
      '[::1]',
      'localhost',
      'LOCALHOST:7400',
      'waymark.localhost',
    ]) {
      expect([host, overLoopback(host)]).toEqual([host, true])
    }
  })

  it('refuses other names over loopback, also what only looks like an address', () => {
    for (const host of [
      'evil.example',
      'evil.example:7400',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      'notlocalhost',
      '',
      '[evil.example]',
      '127.0.0.1:7400:1',
      'evil.example@127.0.0.1',
      undefined,
    ]) {
      expect([host, overLoopback(host)]).toEqual([host, false])
      expect([host, overLoopback(host, '::1')]).toEqual([host, false])
      expect([host, overLoopback(host, '::ffff:127.0.0.1')]).toEqual([host, false])
    }
  })

  it('answers for any name on other interfaces, unless names are listed', () => {
    const arrival = { host: 'waymark.mesh.svc:7400', localAddress: '10.0.0.5' }
    expect(isAllowedHost(arrival)).toBe(true)
    expect(isAllowedHost(arrival, ['waymark.mesh.svc'])).toBe(true)
    expect(isAllowedHost({ ...arrival, host: 'Waymark.Mesh.SVC' }, ['waymark.mesh.svc'])).toBe(true)
    expect(isAllowedHost(arrival, ['waymark'])).toBe(false)
    expect(isAllowedHost({ ...arrival, host: '10.0.0.5' }, ['waymark'])).toBe(true)
  })
})
