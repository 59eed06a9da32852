import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareConfigs, type Difference } from './compare-configs.ts'
import { dumpConfig, dumpNode, ownConfig } from './config-set.ts'
import type { Json, JsonObject } from './json.ts'

const type = (name: string) => `type.googleapis.com/envoy.${name}`
const own = (...resources: [typeUrl: string, name: string, config: JsonObject | null][]) =>
  ownConfig({
    node: 'web/1',
    replica: 'r1',
    revision: 1,
    at: '2026-01-01T00:00:00.000Z',
    state: 'wanted',
    resources: resources.map(([name, id, config]) => ({
      typeUrl: type(name),
      name: id,
      version: '1',
      revision: 1,
      config: config && { '@type': type(name), ...config },
    })),
  })
const dump = (sections: Readonly<Record<string, JsonObject>>): Json => ({
  configs: Object.entries(sections).map(([name, section]) => ({
    '@type': type(`admin.v3.${name}`),
    ...section,
  })),
})
const clusterDump = (...clusters: JsonObject[]) =>
  dumpConfig(
    dump({
      ClustersConfigDump: {
        dynamic_active_clusters: clusters.map(cluster => ({
          cluster: { '@type': type('config.cluster.v3.Cluster'), ...cluster },
        })),
      },
    }),
  )
const clusterType = 'config.cluster.v3.Cluster'

const snakeCase = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(snakeCase)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [
      key.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`),
      snakeCase(field as Json),
    ]),
  )
}
const leaf = fc.oneof(fc.nat(), fc.boolean(), fc.constantFrom('1.5s', '15s', 'V3', 'a b'))
const fieldName = fc.stringMatching(/^[a-z]{1,6}([A-Z][a-z]{1,4})?$/)
const { config } = fc.letrec<{ config: JsonObject; value: Json }>(tie => ({
  config: fc.dictionary(fieldName, tie('value'), {
    maxKeys: 4,
    noNullPrototype: true,
  }),
  value: fc.oneof({ depthSize: 'small' }, leaf, tie('config'), fc.array(tie('value'), { maxLength: 3 })),
}))

describe('compareConfigs', () => {
  it('finds no difference between the two forms of JSON that protobuf has', () => {
    fc.assert(
      fc.property(config, message => {
        const theirs = clusterDump({ ...(snakeCase(message) as JsonObject), name: 'payments' })
        const ours = own([clusterType, 'payments', { ...message, name: 'payments' }])
        expect(compareConfigs(ours, theirs)).toEqual({ resources: 1, differences: [], notes: [] })
      }),
    )
  })

  it('finds exactly the field that differs, whichever it is', () => {
    fc.assert(
      fc.property(config, fieldName, leaf, leaf, (message, field, one, other) => {
        fc.pre(one !== other && field !== 'name')
        const cluster = (value: Json) => ({ name: 'payments', inner: { ...message, [field]: value } })
        const found = compareConfigs(
          own([clusterType, 'payments', cluster(one)]),
          clusterDump(cluster(other)),
        )
        expect(found.differences).toEqual([
          {
            kind: 'cluster',
            name: 'payments',
            path: `inner.${field}`,
            what: 'different',
            ours: one,
            theirs: other,
          },
        ])
      }),
      { examples: [[{}, 'a', 2_147_483_584, 2_147_483_585]], numRuns: 1_000 },
    )
  })

  const differences = (ours: JsonObject, theirs: JsonObject): readonly Difference[] =>
    compareConfigs(own([clusterType, 'c', { name: 'c', ...ours }]), clusterDump({ name: 'c', ...theirs }))
      .differences
  const place = { kind: 'cluster', name: 'c' }

  it('takes durations, long numbers and floats for what they mean', () => {
    expect(differences({ interval: '0.25s', count: 5 }, { interval: '0.250s', count: '5' })).toEqual([])
    expect(differences({ factor: 0.1 }, { factor: 0.10000000149011612 })).toEqual([])
    expect(differences({ interval: '1s' }, { interval: '1.001s' })).toHaveLength(1)
    expect(differences({ count: 5 }, { count: '6' })).toHaveLength(1)
    expect(differences({ bytes: 2_147_483_584 }, { bytes: 2_147_483_585 })).toHaveLength(1)
  })

  it('says what is on one side only', () => {
    expect(differences({ ours: 1 }, { theirs: 2 })).toEqual([
      { ...place, path: 'ours', what: 'only ours', ours: 1 },
      { ...place, path: 'theirs', what: 'only theirs', theirs: 2 },
    ])
    const { differences: found } = compareConfigs(
      own([clusterType, 'a', { name: 'a' }]),
      clusterDump({ name: 'b' }),
    )
    expect(found).toEqual([
      { kind: 'cluster', name: 'a', path: '', what: 'only ours', ours: { name: 'a' } },
      { kind: 'cluster', name: 'b', path: '', what: 'only theirs', theirs: { name: 'b' } },
    ])
  })

  it('compares named things by name, and tells another order', () => {
    const [a, b, c] = ['a', 'b', 'c'].map(name => ({ name }))
    expect(differences({ filters: [a, c] as Json }, { filters: [a, b, c] as Json })).toEqual([
      { ...place, path: 'filters[b]', what: 'only theirs', theirs: b },
    ])
    expect(differences({ filters: [a, b] as Json }, { filters: [b, a] as Json })).toEqual([
      { ...place, path: 'filters', what: 'order', ours: ['a', 'b'], theirs: ['b', 'a'] },
    ])
  })

  it('does not judge bytes of a type that it does not know', () => {
    const opaque = { '@type': 'type.googleapis.com/x.Y', value: 'YQ==' }
    const theirs = { '@type': 'type.googleapis.com/x.Y', some_field: 1 }
    const found = compareConfigs(
      own([clusterType, 'c', { name: 'c', typed: opaque }]),
      clusterDump({ name: 'c', typed: theirs }),
    )
    expect(found.differences).toEqual([])
    expect(found.notes).toEqual(['cluster c typed: not compared, its type is unknown here'])
  })
})

const host = (address: string, more: JsonObject = {}) => ({
  endpoint: { address: { socket_address: { address, port_value: 80 } }, health_check_config: {} },
  ...more,
})
const endpointDump = (...lbEndpoints: JsonObject[]) =>
  dumpConfig(
    dump({
      ClustersConfigDump: {
        dynamic_active_clusters: [
          { cluster: { name: 'payments', type: 'EDS' } },
          { cluster: { name: 'fixed', type: 'STATIC' } },
        ],
      },
      EndpointsConfigDump: {
        dynamic_endpoint_configs: [
          { endpoint_config: { cluster_name: 'fixed', endpoints: [] } },
          {
            endpoint_config: {
              cluster_name: 'payments',
              endpoints: [{ locality: {}, lb_endpoints: lbEndpoints, load_balancing_weight: 0 }],
              policy: { overprovisioning_factor: 140 },
            },
          },
        ],
      },
    }),
  )
const ownEndpoints = (...lbEndpoints: Json[]) =>
  own(
    [clusterType, 'payments', { name: 'payments', type: 'EDS' }],
    [clusterType, 'fixed', { name: 'fixed', type: 'STATIC' }],
    [
      'config.endpoint.v3.ClusterLoadAssignment',
      'payments',
      { clusterName: 'payments', endpoints: [{ locality: {}, lbEndpoints }] },
    ],
  )
const ownHost = (address: string, more: JsonObject = {}): Json => ({
  endpoint: { address: { socketAddress: { address, portValue: 80 } } },
  ...more,
})

describe('endpoints', () => {
  it('are compared by address; defaults that Envoy writes out are none', () => {
    const theirs = endpointDump(
      host('10.0.0.2', { health_status: 'HEALTHY', load_balancing_weight: 1 }),
      host('10.0.0.1', { health_status: 'DRAINING', load_balancing_weight: 7 }),
    )
    const ours = ownEndpoints(
      ownHost('10.0.0.1', { healthStatus: 'DRAINING', loadBalancingWeight: 7 }),
      ownHost('10.0.0.2'),
    )
    expect(compareConfigs(ours, theirs)).toEqual({ resources: 3, differences: [], notes: [] })
    expect(compareConfigs(ownEndpoints(ownHost('10.0.0.2')), theirs).differences).toMatchObject([
      { kind: 'endpoints', path: 'hosts[10.0.0.1:80]', what: 'only theirs' },
    ])
  })

  it('that Envoy itself finds unhealthy are noted, not counted', () => {
    const theirs = endpointDump(host('10.0.0.1', { health_status: 'UNHEALTHY', load_balancing_weight: 1 }))
    const found = compareConfigs(ownEndpoints(ownHost('10.0.0.1')), theirs)
    expect(found.differences).toEqual([])
    expect(found.notes).toHaveLength(1)
  })
})

it('finds virtual hosts in the route configuration or beside it', () => {
  const [a, b] = ['outbound/a', 'outbound/b'].map(name => ({ name, domains: [name] }))
  const theirs = dumpConfig(
    dump({
      RoutesConfigDump: {
        dynamic_route_configs: [{ route_config: { name: 'outbound', virtual_hosts: [a, b] as Json } }],
      },
    }),
  )
  const routes = 'config.route.v3.RouteConfiguration'
  const ours = own(
    [routes, 'outbound', { name: 'outbound', virtualHosts: [a] as Json }],
    ['config.route.v3.VirtualHost', 'outbound/b', b ?? null],
    // Asked for, and nobody has it.
    ['config.route.v3.VirtualHost', 'outbound/c', null],
  )
  expect(compareConfigs(ours, theirs)).toEqual({ resources: 3, differences: [], notes: [] })
})

it('notes what Envoy refused or is still warming, and reads which node it is', () => {
  const read = dump({
    BootstrapConfigDump: { bootstrap: { node: { id: 'web/1' } } },
    ClustersConfigDump: { dynamic_warming_clusters: [{ cluster: { name: 'slow' } }] },
    ListenersConfigDump: { dynamic_listeners: [{ name: 'outbound', error_state: { details: 'no' } }] },
  })
  expect(dumpNode(read)).toBe('web/1')
  expect(dumpConfig(read).notes).toEqual([
    'cluster slow: a newer version is still warming',
    'listener outbound: refused: no',
  ])
  expect(dumpNode('nonsense')).toBe('')
  expect(dumpConfig({ configs: [1, null] }).items.size).toBe(0)
})
