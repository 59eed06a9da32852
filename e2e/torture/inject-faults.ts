import { setTimeout as delay } from 'node:timers/promises'
import type { Postgres } from '@waymark/deploy/local/postgres.ts'
import pg from 'pg'
import type { Replica } from '../harness/test-mesh.ts'
import type { Fault } from './faults.ts'

export interface FaultTargets {
  readonly postgres: Postgres
  readonly replicas: readonly Replica[]
  /** Told of each fault when it begins. */
  readonly onFault: (fault: Fault) => void
}

/** Ends every connection of the control plane to its database, as a firewall or a failover would. */
const dropConnections = async (url: string): Promise<void> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where application_name like 'waymark-%' and pid <> pg_backend_pid()`,
    )
  } finally {
    await client.end()
  }
}

/** Carries a fault out and takes it back. */
const inject = async ({ kind, forMs, pick }: Fault, { postgres, replicas }: FaultTargets): Promise<void> => {
  const replica = replicas[Math.floor(pick * replicas.length)]?.process
  if (replica === undefined) throw new Error('there is no replica')
  switch (kind) {
    case 'kill a replica':
      await replica.kill()
      await delay(forMs)
      await replica.start()
      return
    case 'pause a replica': {
      const { pid } = replica
      if (pid === null) return
      process.kill(pid, 'SIGSTOP')
      await delay(forMs)
      process.kill(pid, 'SIGCONT')
      return
    }
    case 'restart Postgres':
      await postgres.stop()
      await delay(forMs)
      await postgres.start()
      return
    case 'kill Postgres':
      await postgres.kill()
      await delay(forMs)
      await postgres.start()
      return
    case 'drop connections':
      await dropConnections(postgres.url)
  }
}

/**
 * One fault after the other, each at its time or, if the one before took longer to take back (a process starts), right
 * after it. Resolves when all have been taken back, or the signal has aborted.
 */
export const injectFaults = async (
  faults: readonly Fault[],
  targets: FaultTargets,
  signal: AbortSignal,
): Promise<number> => {
  const began = performance.now()
  let count = 0
  for (const fault of faults) {
    await delay(Math.max(0, fault.atMs - (performance.now() - began)), undefined, { signal }).catch(
      () => undefined,
    )
    if (signal.aborted) break
    targets.onFault(fault)
    await inject(fault, targets)
    count += 1
  }
  return count
}
