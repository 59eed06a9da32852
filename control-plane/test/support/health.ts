import { Heartbeats } from '../../src/health/heartbeats.ts'
import { Sweeper, sweeperRole, type SweeperOptions } from '../../src/health/sweeper.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLogger } from '../../src/runtime/logger.ts'
import { LeaseTable } from '../../src/store/lease-table.ts'
import { ObservationTable } from '../../src/store/observation-table.ts'
import { OwnedRole } from '../../src/store/owned-role.ts'
import { ReviewTable } from '../../src/store/review-table.ts'
import { RoleTable } from '../../src/store/role-table.ts'
import type { TestDatabase } from './database.ts'
import type { TestReplica } from './replica.ts'

const common = { clock: systemClock, logger: silentLogger }

export const createHeartbeats = ({ database }: TestDatabase, { mesh, registry }: TestReplica): Heartbeats =>
  new Heartbeats({ ...common, mesh, registry, leases: new LeaseTable(database), replicaId: 'replica-1' })

export const createRole = (
  { database }: TestDatabase,
  { owner, name = sweeperRole, ttlMs = 2_000 }: { owner: string; name?: string; ttlMs?: number },
): OwnedRole => new OwnedRole({ ...common, roles: new RoleTable(database), name, owner, ttlMs, retryMs: 50 })

export const createSweeper = (
  test: TestDatabase,
  { registry }: TestReplica,
  { owner = 'replica-1', ...options }: Partial<SweeperOptions> & { owner?: string } = {},
): Sweeper =>
  new Sweeper({
    ...common,
    registry,
    role: createRole(test, { owner }),
    leases: new LeaseTable(test.database),
    observations: new ObservationTable(test.database),
    reviews: new ReviewTable(test.database),
    graceMs: 0,
    ...options,
  })
