import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'

/** A gRPC service besides discovery that shares the port of the xDS server. */
export interface ExtraService {
  readonly definition: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
  /** Ends its calls with UNAVAILABLE: the server stops. */
  stop(): void
}
