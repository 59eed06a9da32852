import { describe, expect, it } from 'vitest'
import { buildGrpcBootstrap } from './grpc-bootstrap.ts'

const input = {
  service: 'web',
  instance: 'web-1',
  locality: { region: 'r', zone: 'a' },
  controlPlane: [
    { host: 'waymark.example', port: 7_401 },
    { host: '2001:db8::1', port: 7_402 },
  ],
}

describe('buildGrpcBootstrap', () => {
  it('names every replica and who the program is', () => {
    expect(buildGrpcBootstrap(input)).toEqual({
      xds_servers: [
        {
          server_uri: 'waymark.example:7401',
          channel_creds: [{ type: 'insecure' }],
          server_features: ['xds_v3'],
        },
        {
          server_uri: '[2001:db8::1]:7402',
          channel_creds: [{ type: 'insecure' }],
          server_features: ['xds_v3'],
        },
      ],
      node: { id: 'web/web-1', cluster: 'web', locality: { region: 'r', zone: 'a' } },
      server_listener_resource_name_template: '_server/%s',
    })
  })

  it('names the files of TLS', () => {
    const tls = {
      caFile: '/tls/ca.crt',
      certificate: { certificateFile: '/tls/tls.crt', keyFile: '/tls/tls.key' },
    }
    expect(buildGrpcBootstrap({ ...input, tls })).toMatchObject({
      xds_servers: Array.from({ length: 2 }, () => ({
        channel_creds: [
          {
            type: 'tls',
            config: {
              ca_certificate_file: '/tls/ca.crt',
              certificate_file: '/tls/tls.crt',
              private_key_file: '/tls/tls.key',
            },
          },
        ],
      })),
    })
  })

  it('needs a control plane', () => {
    expect(() => buildGrpcBootstrap({ ...input, controlPlane: [] })).toThrow(RangeError)
  })
})
