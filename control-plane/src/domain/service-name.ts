export {
  isServiceName,
  serviceNameMaxLength,
  serviceNamePattern,
} from '@waymark/sidecar-config/model/service-name.ts'

/** Letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit; at most 200 characters. */
export const instanceIdPattern = '^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?$'

const instanceId = new RegExp(instanceIdPattern)

export const isInstanceId = (id: string): boolean => instanceId.test(id)
