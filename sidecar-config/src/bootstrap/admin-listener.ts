/**
 * What of the admin port may be asked from outside the host, each at a port of its own: metrics, readiness. The
 * admin port itself stays on loopback; nothing but these paths is forwarded, and only GET.
 */
const adminCluster = '_admin'

const typeUrl = (name: string) => `type.googleapis.com/envoy.extensions.filters.${name}`

export const buildAdminCluster = (adminPort: number) => ({
  name: adminCluster,
  type: 'STATIC',
  connect_timeout: '1s',
  load_assignment: {
    cluster_name: adminCluster,
    endpoints: [
      {
        lb_endpoints: [
          { endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: adminPort } } } },
        ],
      },
    ],
  },
})

interface Forwarded {
  /** What is asked for outside. */
  readonly paths: readonly string[]
  /** What the admin port is asked for then. */
  readonly adminPath: string
}

const adminListener = (name: string, port: number, { paths, adminPath }: Forwarded) => ({
  name,
  address: { socket_address: { address: '0.0.0.0', port_value: port } },
  // Wanted most when the sidecar is overloaded.
  bypass_overload_manager: true,
  ignore_global_conn_limit: true,
  filter_chains: [
    {
      filters: [
        {
          name: 'envoy.filters.network.http_connection_manager',
          typed_config: {
            '@type': typeUrl('network.http_connection_manager.v3.HttpConnectionManager'),
            stat_prefix: name,
            route_config: {
              name,
              virtual_hosts: [
                {
                  name,
                  domains: ['*'],
                  routes: paths.map(path => ({
                    match: { path, headers: [{ name: ':method', string_match: { exact: 'GET' } }] },
                    route: { cluster: adminCluster, prefix_rewrite: adminPath },
                  })),
                },
              ],
            },
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

export const buildMetricsListener = (port: number) =>
  adminListener('prometheus', port, {
    paths: ['/metrics', '/stats/prometheus'],
    adminPath: '/stats/prometheus',
  })

/** 200 once the first configuration is in, 503 while it drains. Before, the port is closed: Envoy opens none yet. */
export const buildReadyListener = (port: number) =>
  adminListener('ready', port, { paths: ['/ready'], adminPath: '/ready' })
