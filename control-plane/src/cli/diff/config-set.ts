/** What `/sidecars/{node}/config` and Envoy's `/config_dump` say, brought into one form that can be compared. */
import { shortType } from '../../domain/short-type.ts'
import type { SidecarConfigView } from '../../rest/schemas/sidecar-config.ts'
import { comparableEndpoints } from './endpoints.ts'
import { canonical, isObject, objectIn, objectsIn, textIn, type Json, type JsonObject } from './json.ts'

export type ConfigKind = 'cluster' | 'endpoints' | 'listener' | 'routes' | 'virtual host' | 'secret'

export interface ConfigItem {
  readonly kind: ConfigKind
  readonly name: string
  readonly config: JsonObject
}

export interface ConfigSet {
  /** By kind and name. */
  readonly items: ReadonlyMap<string, ConfigItem>
  /** What Envoy says besides: what it refused, what it is still warming. */
  readonly notes: readonly string[]
}

const kinds: Readonly<Record<string, ConfigKind>> = {
  Cluster: 'cluster',
  ClusterLoadAssignment: 'endpoints',
  Listener: 'listener',
  RouteConfiguration: 'routes',
  VirtualHost: 'virtual host',
  Secret: 'secret',
}

class Items {
  readonly items = new Map<string, ConfigItem>()

  add(kind: ConfigKind, name: string, config: Json): void {
    if (!isObject(config)) return
    if (kind === 'routes') this.#addRoutes(name, config)
    else this.#set(kind, name, kind === 'endpoints' ? comparableEndpoints(config) : config)
  }

  /** Virtual hosts come in the route configuration or on their own, and Envoy shows them in it either way. */
  #addRoutes(name: string, { virtualHosts: _hosts, ...rest }: JsonObject): void {
    this.#set('routes', name, rest)
    for (const host of objectsIn({ virtualHosts: _hosts }, 'virtualHosts')) {
      const hostName = textIn(host, 'name')
      this.#set('virtual host', hostName.includes('/') ? hostName : `${name}/${hostName}`, host)
    }
  }

  #set(kind: ConfigKind, name: string, { '@type': _type, ...config }: JsonObject): void {
    this.items.set(`${kind} ${name}`, { kind, name, config })
  }
}

/** What the control plane says that the sidecar should have. */
export const ownConfig = ({ resources }: SidecarConfigView): ConfigSet => {
  const set = new Items()
  for (const { typeUrl, name, config } of resources) {
    const kind = kinds[shortType(typeUrl)]
    // Without a body: the sidecar was told that there is none (a host that nobody has).
    if (kind !== undefined && config !== null) set.add(kind, name, canonical(config as JsonObject))
  }
  return { items: set.items, notes: [] }
}

/** The node id of the Envoy that made the dump. */
export const dumpNode = (dump: Json): string => {
  const bootstrap = objectsIn(dump, 'configs').find(config =>
    textIn(config, '@type').endsWith('.BootstrapConfigDump'),
  )
  return textIn(objectIn(objectIn(bootstrap, 'bootstrap'), 'node'), 'id')
}

/** What Envoy's admin answers to `/config_dump?include_eds`. Static parts, which xDS does not touch, are left out. */
export const dumpConfig = (dump: Json): ConfigSet => {
  const set = new Items()
  const notes: string[] = []
  const eds = new Set<string>()
  const sections = new Map(
    objectsIn(canonical(dump), 'configs').map(config => [shortType(textIn(config, '@type')), config]),
  )
  const section = (name: string): JsonObject | undefined => sections.get(name)

  const clusters = section('ClustersConfigDump')
  for (const entry of objectsIn(clusters, 'dynamicActiveClusters')) {
    const cluster = objectIn(entry, 'cluster')
    if (cluster['type'] === 'EDS') eds.add(textIn(cluster, 'name'))
    set.add('cluster', textIn(cluster, 'name'), cluster)
  }
  for (const entry of objectsIn(clusters, 'dynamicWarmingClusters')) {
    notes.push(`cluster ${textIn(objectIn(entry, 'cluster'), 'name')}: a newer version is still warming`)
  }
  for (const entry of objectsIn(section('EndpointsConfigDump'), 'dynamicEndpointConfigs')) {
    const endpoints = objectIn(entry, 'endpointConfig')
    const name = textIn(endpoints, 'clusterName')
    // Endpoints of other clusters are part of the cluster.
    if (eds.has(name)) set.add('endpoints', name, endpoints)
  }
  for (const entry of objectsIn(section('ListenersConfigDump'), 'dynamicListeners')) {
    const name = textIn(entry, 'name')
    const active = objectIn(objectIn(entry, 'activeState'), 'listener')
    if (Object.keys(active).length > 0) set.add('listener', name, active)
    if (isObject(entry['warmingState'])) notes.push(`listener ${name}: a newer version is still warming`)
    const refused = textIn(objectIn(entry, 'errorState'), 'details')
    if (refused !== '') notes.push(`listener ${name}: refused: ${refused}`)
  }
  for (const entry of objectsIn(section('RoutesConfigDump'), 'dynamicRouteConfigs')) {
    const routes = objectIn(entry, 'routeConfig')
    set.add('routes', textIn(routes, 'name'), routes)
  }
  const secrets = section('SecretsConfigDump')
  for (const entry of objectsIn(secrets, 'dynamicActiveSecrets')) {
    set.add('secret', textIn(entry, 'name'), objectIn(entry, 'secret'))
  }
  for (const entry of objectsIn(secrets, 'dynamicWarmingSecrets')) {
    notes.push(`secret ${textIn(entry, 'name')}: still waited for`)
  }
  return { items: set.items, notes }
}
