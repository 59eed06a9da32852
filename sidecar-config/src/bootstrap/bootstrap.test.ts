import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { bootstrapYaml, buildBootstrap, type BootstrapInput } from './bootstrap.ts'
import { secretFiles } from './control-plane-security.ts'

const input: BootstrapInput = {
  service: 'payments',
  instance: 'payments-1',
  locality: { region: 'eu', zone: 'eu-1' },
  controlPlane: [{ host: '127.0.0.1', port: 7_401 }],
}
const remote: BootstrapInput = { ...input, controlPlane: [{ host: 'waymark.example', port: 7_401 }] }
const secretFilePrefix = '/etc/envoy/bootstrap'
const tls = { caFile: '/etc/waymark/ca.crt' }

describe('the bootstrap', () => {
  it('is the same as YAML', () => {
    const full = { ...input, upstreams: ['ledger', '1e3', 'no'], prometheusPort: 15_090, readyPort: 15_021 }
    expect(parse(bootstrapYaml(full))).toEqual(buildBootstrap(full))
    expect(bootstrapYaml(full)).not.toContain('&a')
  })

  it('says who the sidecar is', () => {
    expect(buildBootstrap({ ...input, upstreams: [] })['node']).toEqual({
      id: 'payments/payments-1',
      cluster: 'payments',
      locality: { region: 'eu', zone: 'eu-1' },
      metadata: { waymark: { outboundPort: 15_001, inboundPort: 15_006, upstreams: [] } },
    })
  })

  it('says that the sidecar gets services on demand', () => {
    expect(buildBootstrap({ ...input, onDemand: true })['node']).toMatchObject({
      metadata: { waymark: { onDemand: true } },
    })
  })

  it('resolves control planes by DNS as soon as one is a name', () => {
    const typeOf = (...hosts: string[]) =>
      /type: (STATIC|STRICT_DNS)/.exec(
        bootstrapYaml({ ...input, controlPlane: hosts.map(host => ({ host, port: 1 })) }),
      )?.[1]
    expect(typeOf('10.0.0.1', '::1')).toBe('STATIC')
    expect(typeOf('10.0.0.1', 'waymark.example')).toBe('STRICT_DNS')
  })

  it('needs a control plane', () => {
    expect(() => buildBootstrap({ ...input, controlPlane: [] })).toThrow(
      'needs the address of a control plane',
    )
  })
})

describe('TLS and tokens in the bootstrap', () => {
  it('names of the certificate are those of the control plane unless told otherwise', () => {
    const yaml = (names?: string[]) =>
      bootstrapYaml({ ...remote, secretFilePrefix, tls: { ...tls, ...(names && { names }) } })
    expect(yaml()).toContain('sni: waymark.example')
    expect(yaml()).toMatch(/san_type: DNS\n\s+matcher:\n\s+exact: waymark.example/)
    expect(yaml(['10.0.0.1'])).not.toContain('sni:')
    expect(yaml(['10.0.0.1'])).toMatch(/san_type: IP_ADDRESS\n\s+matcher:\n\s+exact: 10.0.0.1/)
  })

  it('every file that the bootstrap names is made, and no other', () => {
    const certificate = { certificateFile: '/etc/waymark/tls.crt', keyFile: '/etc/waymark/tls.key' }
    for (const security of [
      { tls },
      { tls: { ...tls, certificate } },
      { tls, tokenFile: '/etc/waymark/token' },
      { tls: { ...tls, certificate }, tokenFile: '/etc/waymark/token' },
    ]) {
      const yaml = bootstrapYaml({ ...remote, ...security, secretFilePrefix })
      const named = [...yaml.matchAll(/path: (\/etc\/envoy\/\S+)/g)].map(match => match[1])
      const made = secretFiles({ ...security, secretFilePrefix })
      expect(named.sort()).toEqual(made.map(({ path }) => path).sort())
      for (const { json } of made)
        expect(JSON.stringify(json)).toContain('"watched_directory":{"path":"/etc/waymark"}')
    }
    expect(secretFiles({})).toEqual([])
  })

  it('a token is not sent in plain text, but on loopback', () => {
    const token = { tokenFile: '/etc/waymark/token', secretFilePrefix }
    for (const host of ['waymark.example', '10.0.0.1', '127.evil.example']) {
      const controlPlane = [...input.controlPlane, { host, port: 7_401 }]
      expect(() => buildBootstrap({ ...input, ...token, controlPlane })).toThrow('A token needs TLS')
    }
    expect(() => buildBootstrap({ ...remote, ...token, tls })).not.toThrow()
    expect(() => buildBootstrap({ ...input, ...token })).not.toThrow()
  })

  it.each([
    [{ tls }, 'need a place for the files'],
    [{ tls: { caFile: 'ca.crt' }, secretFilePrefix }, '"ca.crt" is no absolute path'],
    [
      {
        tls: { ...tls, certificate: { certificateFile: '/a/tls.crt', keyFile: '/b/tls.key' } },
        secretFilePrefix,
      },
      'must be in one folder',
    ],
  ])('what cannot work is refused: %j', (security, reason) => {
    expect(() => buildBootstrap({ ...remote, ...security })).toThrow(reason)
  })
})
