/**
 * Prometheus metrics for a scraper outside the host. The admin port stays on loopback: only this one path of it
 * is forwarded.
 */
const adminCluster = '_admin'

const typeUrl = (name: string) => `type.googleapis.com/envoy.extensions.filters.${name}`

const endpointAt = (port: number) => ({
  endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } },
})

export const prometheusCluster = (adminPort: number) => ({
  name: adminCluster,
  type: 'STATIC',
  connect_timeout: '1s',
  load_assignment: {
    cluster_name: adminCluster,
    endpoints: [{ lb_endpoints: [endpointAt(adminPort)] }],
  },
})

const onlyMetrics = {
  name: 'prometheus',
  virtual_hosts: [
    {
      name: 'prometheus',
      domains: ['*'],
      routes: ['/metrics', '/stats/prometheus'].map(path => ({
        match: { path, headers: [{ name: ':method', string_match: { exact: 'GET' } }] },
        route: { cluster: adminCluster, prefix_rewrite: '/stats/prometheus' },
      })),
    },
  ],
}

export const prometheusListener = (port: number) => ({
  name: 'prometheus',
  address: { socket_address: { address: '0.0.0.0', port_value: port } },
  // Metrics are wanted most when the sidecar is overloaded.
  bypass_overload_manager: true,
  filter_chains: [
    {
      filters: [
        {
          name: 'envoy.filters.network.http_connection_manager',
          typed_config: {
            '@type': typeUrl('network.http_connection_manager.v3.HttpConnectionManager'),
            stat_prefix: 'prometheus',
            route_config: onlyMetrics,
            http_filters: [
              {
                name: 'envoy.filters.http.router',
                typed_config: { '@type': typeUrl('http.router.v3.Router') },
              },
            ],
          },
        },
      ],
    },
  ],
})
