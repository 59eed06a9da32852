import type { ServiceDefinition } from '@grpc/grpc-js'
import { AggregatedDiscoveryServiceService as generated } from '@envoyproxy/protos/envoy/service/discovery/v3/ads.ts'
import { decodeDeltaRequest } from './decode-request.ts'

const identity = (bytes: Buffer): Buffer => bytes
const streaming = {
  requestStream: true,
  responseStream: true,
  requestSerialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
} as const

/**
 * The ADS service with codecs of our own: requests without the parts that nobody uses, responses as prepared
 * bytes.
 */
export const adsService = {
  deltaAggregatedResources: {
    ...streaming,
    path: generated.deltaAggregatedResources.path,
    requestDeserialize: decodeDeltaRequest,
  },
  streamAggregatedResources: {
    ...streaming,
    path: generated.streamAggregatedResources.path,
    requestDeserialize: identity,
  },
} satisfies ServiceDefinition
