import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { bootstrapYaml, buildBootstrap, type BootstrapInput } from './bootstrap.ts'

const input: BootstrapInput = {
  service: 'payments',
  instance: 'payments-1',
  locality: { region: 'eu', zone: 'eu-1' },
  controlPlane: [{ host: '127.0.0.1', port: 7_401 }],
}

describe('the bootstrap', () => {
  it('is the same as YAML', () => {
    const full = { ...input, upstreams: ['ledger', '1e3', 'no'], prometheusPort: 15_090 }
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
