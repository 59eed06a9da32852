const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'

/** One or more DNS labels joined by dots, lower case, at most 200 characters; the last label is not `mesh`. */
export const serviceNamePattern = `^(?!(?:.*\\.)?mesh$)${label}(?:\\.${label})*$`
export const serviceNameMaxLength = 200

export const serviceNameAccepted =
  'a service name: DNS labels of a-z, 0-9 and "-" joined by dots, at most 200 characters, not ending in "mesh"'

const serviceName = new RegExp(serviceNamePattern)

export const isServiceName = (name: string): boolean =>
  name.length <= serviceNameMaxLength && serviceName.test(name)
