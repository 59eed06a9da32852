/** Names of whatever is not about a cluster. RE2 knows no "not followed by". */
const notOfACluster = '^(?:[^c]|c[^l]|cl[^u]|clu[^s]|clus[^t]|clust[^e]|cluste[^r]|cluster[^.])'

/** What people ask about one cluster: how many hosts, how many requests, how they ended, what was refused. */
const ofEachCluster = [
  'membership_(?:total|healthy|degraded)',
  'lb_healthy_panic',
  'upstream_rq_(?:total|active|completed|time|timeout|per_try_timeout|cancelled|[1-5]xx|[1-5][0-9][0-9])',
  'upstream_rq_(?:pending_active|pending_overflow|pending_failure_eject|rx_reset|tx_reset)',
  'upstream_rq_retry(?:_success|_overflow|_limit_exceeded)?',
  'upstream_cx_(?:total|active|overflow|connect_fail|connect_timeout|rx_bytes_total|tx_bytes_total)',
  'outlier_detection\\.ejections_(?:active|enforced_total)',
  'circuit_breakers\\.default\\.(?:cx|rq|rq_pending|rq_retry)_open',
  'health_check\\.(?:attempt|success|failure|healthy)',
  'ssl\\.(?:handshake|connection_error|fail_verify_[a-z_]+)',
].join('|')

/**
 * Envoy keeps some 130 numbers of each cluster, used or not. Of a service, the sidecar keeps those that are asked
 * for, and those about traffic from the first request on. What is not about a service is all kept, also of
 * Waymark's own clusters, whose names begin with "_".
 */
export const statsOptions = {
  stats_config: {
    stats_matcher: {
      inclusion_list: {
        patterns: [
          { safe_regex: { regex: `${notOfACluster}.*` } },
          { prefix: 'cluster._' },
          { safe_regex: { regex: `^cluster\\..+\\.(?:${ofEachCluster})$` } },
        ],
      },
    },
  },
  deferred_stat_options: { enable_deferred_creation_stats: true },
}
