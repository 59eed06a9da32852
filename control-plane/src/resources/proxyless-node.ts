import { isInstanceId, isServiceName } from '../domain/service-name.ts'
import { XdsRefusedError, type XdsNode } from '../xds/port.ts'

const idLimit = 400

/** gRPC libraries call themselves `gRPC Go`, `gRPC Java`, `gRPC Node Pure JS`, `gRPC C-core linux`. */
export const isProxyless = ({ agent }: XdsNode): boolean => agent.startsWith('gRPC ')

/**
 * The service as which a gRPC program calls others; `''`: as nobody in particular. It need not be registered, so its
 * node.id is free: `{service}/{instance}` names the service, else node.cluster does if it can be the name of one.
 * Throws XdsRefusedError INVALID_ARGUMENT.
 */
export const callerOf = ({ id, cluster }: XdsNode): string => {
  if (id.length > idLimit) {
    throw new XdsRefusedError(3, `node.id has ${id.length} characters; accepted: at most ${idLimit}`)
  }
  const [service = '', instance = '', ...rest] = id.split('/')
  if (rest.length === 0 && isServiceName(service) && isInstanceId(instance)) return service
  return isServiceName(cluster) ? cluster : ''
}
