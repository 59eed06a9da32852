/** Simulated sidecars in a process of their own; see `Generator`. */
import { endpointType } from '@waymark/control-plane/xds/type-urls.ts'
import { answerQuestions } from '../bench-process.ts'
import { nodesOf, type SidecarPlan } from './sidecar-plan.ts'
import { Fleet, type ConnectOptions, type FleetCounts } from './fleet.ts'
import { ChangeReceipts, VersionReceipts, type ChangeReceipt, type VersionReceipt } from './receipts.ts'

export interface GeneratorSetup {
  readonly plan: SidecarPlan
  readonly order: 'envoy' | 'endpoints'
  /** Keeps versions, to tell them when it connects again. */
  readonly keep?: boolean
  /** Each sidecar has a stream of load reports, too. */
  readonly reports?: boolean
  /** Tells when versions of the endpoints of this service have come: `next`. */
  readonly watch?: string
  /** Tells when numbered changes have come: `changes`. */
  readonly numbered?: boolean
}

let fleet: Fleet | null = null
let versions = new VersionReceipts('')
let changes = new ChangeReceipts()

const theFleet = (): Fleet => {
  if (fleet === null) throw new Error('there are no sidecars yet')
  return fleet
}

const handlers = {
  setUp: ({
    plan,
    order,
    keep = false,
    reports = false,
    watch,
    numbered = false,
  }: GeneratorSetup): number => {
    fleet?.close()
    versions = new VersionReceipts(watch ?? '')
    changes = new ChangeReceipts()
    fleet = new Fleet({
      nodes: nodesOf(plan),
      order,
      keep,
      reports,
      onResponse: (sidecar, { typeUrl, resources }, at) => {
        if (typeUrl !== endpointType) return
        for (const resource of resources) {
          if (watch !== undefined) versions.see(typeUrl, resource, at)
          if (!numbered) continue
          const had = sidecar.changes.get(resource.name) ?? -1
          const has = changes.see(resource, had, at)
          if (has !== had) sidecar.changes.set(resource.name, has)
        }
      },
    })
    return fleet.sidecars.length
  },
  connect: (options: ConnectOptions): Promise<readonly number[]> => theFleet().connect(options),
  disconnect: (): void => {
    theFleet().close()
  },
  counts: (): FleetCounts => theFleet().counts,
  firstResponse: (): number | null => theFleet().firstResponseAt,
  /** Counts streams with a new version of the watched endpoints from now on. */
  expect: (streams: number): void => {
    versions.expect(streams)
  },
  next: (): Promise<VersionReceipt> => versions.next(),
  changes: (): ChangeReceipt[] => changes.all(),
}
export type GeneratorHandlers = typeof handlers

answerQuestions(handlers)
