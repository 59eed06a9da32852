import type { Registry } from '../registry/registry.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Database } from '../store/database.ts'
import { CheckProgressTable } from '../store/check-progress-table.ts'
import { LeaseTable } from '../store/lease-table.ts'
import { ObservationTable } from '../store/observation-table.ts'
import { OwnedRole } from '../store/owned-role.ts'
import { ReplicaTable } from '../store/replica-table.ts'
import { ReviewTable } from '../store/review-table.ts'
import type { RoleTable } from '../store/role-table.ts'
import { TrafficTable } from '../store/traffic-table.ts'
import type { AddressPolicy } from './checks/address-policy.ts'
import { CheckScheduler } from './checks/check-scheduler.ts'
import { createProbe } from './checks/probe.ts'
import type { CheckIdentity } from './checks/tls-contexts.ts'
import type { SelfPreservationPolicy } from './expiry.ts'
import { Heartbeats } from './heartbeats.ts'
import { Membership, type MembershipOptions } from './membership.ts'
import type { MeshView } from './mesh-view.ts'
import { Sweeper, sweeperRole } from './sweeper.ts'
import { TrafficHealth, trafficRole, type TrafficHealthOptions } from './traffic/traffic-health.ts'
import type { TallyRow } from './traffic/traffic-handover.ts'

export interface CreateHealthOptions {
  readonly database: Database
  readonly mesh: MeshView & TrafficHealthOptions['mesh']
  readonly loads: TrafficHealthOptions['loads']
  readonly registry: Registry
  readonly roles: RoleTable
  /** This replica's id. */
  readonly replica: string
  readonly addresses: MembershipOptions['addresses']
  readonly onTime: MembershipOptions['onTime']
  readonly checkPolicy: AddressPolicy
  readonly checkIdentity: CheckIdentity | null
  readonly selfPreservation: SelfPreservationPolicy
  readonly clock: Clock
  readonly logger: Logger
  readonly random: () => number
}

/** The parts that turn beats, probes and load reports into evidence, and say who is there to do it. Starts none. */
export const createHealth = (options: CreateHealthOptions) => {
  const { database, roles, replica, clock } = options
  const membership = new Membership({ ...options, replicas: new ReplicaTable(database), id: replica })
  const leases = new LeaseTable(database)
  const observations = new ObservationTable(database)
  const reviews = new ReviewTable(database)
  const roleOf = (name: string) => new OwnedRole({ ...options, roles, name, owner: replica })
  return {
    membership,
    heartbeats: new Heartbeats({ ...options, leases, replicaId: replica }),
    sweeper: new Sweeper({ ...options, role: roleOf(sweeperRole), leases, observations, reviews }),
    checks: new CheckScheduler({
      ...options,
      members: membership,
      observations,
      progress: new CheckProgressTable(database),
      probe: createProbe({ clock, policy: options.checkPolicy, identity: options.checkIdentity }),
      replicaId: replica,
    }),
    traffic: new TrafficHealth({
      ...options,
      table: new TrafficTable<TallyRow>({ database, replica }),
      role: roleOf(trafficRole),
      members: () => membership.liveIds,
    }),
  }
}
