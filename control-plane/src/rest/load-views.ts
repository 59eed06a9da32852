/** Load reports as REST shows them: addresses told as instances, the replicas' answers put together. */
import { formatDuration } from '@waymark/sidecar-config/model/duration.ts'
import { hostPort } from '@waymark/sidecar-config/model/host-port.ts'
import type { MeshState } from '../mesh/mesh-state.ts'
import { addCounts, noCounts } from '../xds/load-reports/load-report.ts'
import type { EndpointLoad, ReporterLoad } from '../xds/load-reports/reporter.ts'
import type { LoadReader } from './live-ports.ts'
import type { InstanceLoadView, InstanceReporterView, SidecarLoadView } from './schemas/load.ts'

/** Reporters shown in one answer, over all instances. */
const maxReporters = 20_000
/** Entries read before the event loop gets its turn. */
const sliceEntries = 2_000

const time = (ms: number): string => new Date(ms).toISOString()

/** A cluster is called like its service, a subset's cluster `{service}/{subset}`. */
const serviceOf = (cluster: string): string => cluster.split('/', 1)[0] ?? cluster

/** Address to instance id. Callers reach an instance through its sidecar, if it has one. */
const idsByAddress = (mesh: MeshState, service: string): Map<string, string> => {
  const ids = new Map<string, string>()
  for (const { id, spec } of mesh.service(service)?.instances.values() ?? []) {
    ids.set(hostPort({ host: spec.address, port: spec.sidecar?.port ?? spec.port }), id)
  }
  return ids
}

const loadView = ({ total, last, metrics, at }: EndpointLoad) => ({
  total,
  last,
  metrics: Object.fromEntries(metrics),
  reportedAt: time(at),
})

/** What one reporter has told this replica. */
export const reporterView = (
  mesh: MeshState,
  reporter: ReporterLoad,
  replica: string,
): SidecarLoadView['replicas'][number] => {
  const known = new Map<string, Map<string, string>>()
  const instanceAt = (cluster: string, address: string): string | null => {
    const service = serviceOf(cluster)
    const ids = known.get(service) ?? idsByAddress(mesh, service)
    known.set(service, ids)
    const id = ids.get(address)
    return id === undefined ? null : `${service}/${id}`
  }
  return {
    replica,
    since: time(reporter.since),
    reportedAt: time(reporter.at),
    interval: formatDuration(reporter.intervalMs),
    reports: reporter.reports,
    clusters: [...reporter.clusters()].map(load => ({
      cluster: load.cluster,
      total: load.total,
      dropped: load.dropped,
      endpoints: [...load.endpoints()].map(endpoint => ({
        address: endpoint.address,
        instance: instanceAt(load.cluster, endpoint.address),
        ...loadView(endpoint),
      })),
    })),
  }
}

const emptyView = (id: string | null, address: string): InstanceLoadView => ({
  id,
  address,
  total: noCounts,
  last: noCounts,
  reporterCount: 0,
  reporters: [],
})

const worstFirst = (a: InstanceReporterView, b: InstanceReporterView): number =>
  b.last.failed - a.last.failed ||
  b.total.failed - a.total.failed ||
  b.total.issued - a.total.issued ||
  (a.node < b.node ? -1 : 1)

type More = Pick<InstanceLoadView, 'total' | 'last' | 'reporters' | 'reporterCount'>

/** Adds up in place; of the reporters at most `limit` stay, looked at when they are twice as many. */
const add = (view: InstanceLoadView, more: More, limit: number): void => {
  view.total = addCounts(view.total, more.total)
  view.last = addCounts(view.last, more.last)
  view.reporterCount += more.reporterCount
  view.reporters.push(...more.reporters)
  if (view.reporters.length > 2 * limit) trim(view, limit)
}

const trim = (view: InstanceLoadView, limit: number): void => {
  view.reporters.sort(worstFirst)
  view.reporters.length = Math.min(view.reporters.length, limit)
}

const limitFor = (instances: number): number => Math.max(1, Math.floor(maxReporters / Math.max(1, instances)))

/** What all reporters have told this replica about the instances of a service. */
export const serviceLoad = async (options: {
  readonly mesh: MeshState
  readonly loads: LoadReader
  readonly service: string
  readonly replica: string
  readonly breathe: () => Promise<void>
}): Promise<InstanceLoadView[]> => {
  const { mesh, loads, service, replica, breathe } = options
  const found = new Map<string, InstanceLoadView>()
  for (const [address, id] of idsByAddress(mesh, service)) found.set(address, emptyView(id, address))
  const limit = limitFor(found.size)
  let slice = 0
  for (const cluster of [...loads.clusters()].filter(name => serviceOf(name) === service)) {
    for (const load of [...loads.ofCluster(cluster)]) {
      const { id: node, locality } = load.reporter.reporter
      for (const endpoint of load.endpoints()) {
        const view = found.get(endpoint.address) ?? emptyView(null, endpoint.address)
        found.set(endpoint.address, view)
        const { total, last } = endpoint
        const reporter = { node, zone: locality.zone, replica, cluster, ...loadView(endpoint) }
        add(view, { total, last, reporterCount: 1, reporters: [reporter] }, limit)
      }
      if ((slice += 1) % sliceEntries === 0) await breathe()
    }
  }
  for (const view of found.values()) trim(view, limit)
  return [...found.values()]
}

/** The same of several replicas as one; a replica may not know yet, or any more, who has an address. */
export const mergeInstances = (answers: readonly (readonly InstanceLoadView[])[]): InstanceLoadView[] => {
  const merged = new Map<string, InstanceLoadView>()
  const limit = limitFor(Math.max(0, ...answers.map(({ length }) => length)))
  for (const one of answers.flat()) {
    const view = merged.get(one.address)
    if (view === undefined) merged.set(one.address, { ...one, reporters: [...one.reporters] })
    else {
      view.id ??= one.id
      add(view, one, limit)
    }
  }
  for (const view of merged.values()) trim(view, limit)
  return [...merged.values()].sort((a, b) => (a.address < b.address ? -1 : 1))
}
