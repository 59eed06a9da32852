import { ApiVersion, type ConfigSource } from '@envoyproxy/protos/envoy/config/core/v3/config_source.ts'
import { milliseconds } from './duration.ts'

/** Comes over the one ADS stream; after `initialFetchMs` without an answer Envoy goes on without. 0: it waits. */
export const overAds = (initialFetchMs: number): ConfigSource => ({
  authorities: [],
  ads: {},
  resourceApiVersion: ApiVersion.V3,
  initialFetchTimeout: milliseconds(initialFetchMs),
})
