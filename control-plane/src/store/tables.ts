/** The rows of migrations/, as kysely sees them. bigint columns arrive as strings. */
import type { ColumnType, JSONColumnType } from 'kysely'
import type { Evidence } from '../domain/evidence.ts'
import type { Flapping } from '../domain/flapping.ts'
import type { InstanceSpec } from '../domain/instance.ts'
import type { Override } from '../domain/verdict.ts'

type BigInt = ColumnType<string, number | string, number | string>
type Timestamp = ColumnType<Date, Date | string, Date | string>
type NullableTimestamp = ColumnType<Date | null, Date | string | null, Date | string | null>

interface MeshRevisionTable {
  singleton: boolean
  revision: BigInt
  incarnation: BigInt
}

interface InstanceTable {
  service: string
  id: string
  incarnation: BigInt
  spec: JSONColumnType<InstanceSpec>
  verdict: string
  evidence: JSONColumnType<Evidence[]>
  override: JSONColumnType<Override> | null
  remove_at: NullableTimestamp
  registered_at: Timestamp
  revision: BigInt
  flapping: JSONColumnType<Flapping> | null
  review_at: NullableTimestamp
}

interface DocumentTable {
  kind: string
  name: string
  spec: JSONColumnType<object>
  revision: BigInt
}

interface ChangeTable {
  id: string
  aggregatetype: string
  aggregateid: string
  type: string
  payload: JSONColumnType<{ before: unknown; after: unknown }>
  revision: BigInt
  position: number
  occurred_at: Timestamp
  actor: string
  traceparent: string | null
}

interface ChangePartitionTable {
  name: string
  from_revision: BigInt
  to_revision: BigInt
  created_at: Timestamp
}

interface LeaseTable {
  service: string
  id: string
  incarnation: BigInt
  ttl_ms: number
  seen_at: Timestamp
}

interface ObservationTable {
  service: string
  id: string
  source: string
  observer: string
  status: string
  output: string
  observed_at: Timestamp
}

interface CheckProgressTable {
  service: string
  id: string
  source: string
  status: string | null
  against: number
  counted_at: Timestamp
}

interface RoleTable {
  name: string
  owner: string
  fence: BigInt
  expires_at: Timestamp
  report: JSONColumnType<object | null, string | null, string | null>
}

interface ReplicaTable {
  id: string
  started_at: Timestamp
  seen_at: Timestamp
  http: string
  xds: string
}

interface SidecarTable {
  node: string
  replica: string
  status: JSONColumnType<object>
  seen_at: Timestamp
  ended_at: Timestamp | null
  run: string
}

interface SidecarCoverageTable {
  replica: string
  run: string
  revision: BigInt
}

interface AckWantedTable {
  revision: BigInt
  replica: string
  until: Timestamp
}

interface AckReportTable {
  revision: BigInt
  replica: string
  report: JSONColumnType<object>
  complete: boolean
  until: Timestamp
}

interface TrafficTallyTable {
  service: string
  replica: string
  suspects: string[]
  tally: JSONColumnType<object>
  at: Timestamp
}

interface OutboxCursorTable {
  sink: string
  revision: BigInt
  position: number
  fence: BigInt
  updated_at: Timestamp
  origin: ColumnType<string, string | undefined>
  epoch: ColumnType<string, number | string | undefined>
  paused_at: NullableTimestamp
  paused_by: ColumnType<string | null>
  declared_at: ColumnType<Date, Date | undefined>
  gap: ColumnType<unknown>
}

interface OutboxParkedTable {
  sink: string
  change_id: string
  revision: BigInt
  position: number
  aggregatetype: string
  aggregateid: string
  event: JSONColumnType<object>
  error: string
  attempts: number
  parked_at: Timestamp
}

export interface Tables {
  mesh_revision: MeshRevisionTable
  instance: InstanceTable
  document: DocumentTable
  change: ChangeTable
  change_partition: ChangePartitionTable
  lease: LeaseTable
  observation: ObservationTable
  check_progress: CheckProgressTable
  role: RoleTable
  replica: ReplicaTable
  sidecar: SidecarTable
  sidecar_coverage: SidecarCoverageTable
  ack_wanted: AckWantedTable
  ack_report: AckReportTable
  traffic_tally: TrafficTallyTable
  outbox_cursor: OutboxCursorTable
  outbox_parked: OutboxParkedTable
}
