const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'

/** One or more DNS labels joined by dots, lower case, at most 200 characters; the last label is not `mesh`. */
export const serviceNamePattern = `^(?!(?:.*\\.)?mesh$)${label}(?:\\.${label})*$`
export const serviceNameMaxLength = 200

/** Letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit; at most 200 characters. */
export const instanceIdPattern = '^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?$'

const serviceName = new RegExp(serviceNamePattern)
const instanceId = new RegExp(instanceIdPattern)

export const isServiceName = (name: string): boolean =>
  name.length <= serviceNameMaxLength && serviceName.test(name)

export const isInstanceId = (id: string): boolean => instanceId.test(id)
