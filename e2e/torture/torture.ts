import { rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { startPostgres } from '@waymark/deploy/local/postgres.ts'
import { eventually } from '../harness/eventually.ts'
import { makePublicDirectory } from '../harness/public-directory.ts'
import { TestMesh } from '../harness/test-mesh.ts'
import { Watcher } from '../harness/watcher.ts'
import { checkHistory } from './check-history.ts'
import { scheduleFaults, type Fault } from './faults.ts'
import type { History, Operation, Violation } from './history.ts'
import { injectFaults } from './inject-faults.ts'
import { logOf } from './reduce.ts'
import { runClient } from './workload.ts'

export interface TortureOptions {
  readonly seed: number
  readonly durationMs: number
  readonly onFault?: (fault: Fault, atMs: number) => void
}

export interface TortureResult {
  readonly history: History
  readonly violations: readonly Violation[]
  /** Faults that were injected. */
  readonly faults: number
}

const clients = 8
/** Room for what the faults leave behind: a replica starts, a Postgres recovers. */
const settleMs = 60_000

/** Two replicas and a Postgres of their own, as processes; all ends with `close`. */
const startAll = async () => {
  const dataDir = await makePublicDirectory('waymark-torture-')
  const postgres = await startPostgres({ dataDir, settings: { fsync: 'off' } })
  const close = async (): Promise<void> => {
    await postgres.destroy()
    await rm(dataDir, { recursive: true, force: true })
  }
  try {
    const mesh = await TestMesh.start({ databaseUrl: postgres.url, envoy: '', replicas: 2 })
    return {
      postgres,
      mesh,
      close: async () => {
        await mesh.close().finally(close)
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

/**
 * Random work at two replicas while things break, and then the question whether what was seen can have been. The seed
 * decides what each client wants to do and which faults come when; what meets what is up to the machine. Rejects when
 * the parts do not come back.
 */
export const runTorture = async ({ seed, durationMs, onFault }: TortureOptions): Promise<TortureResult> => {
  const { postgres, mesh, close } = await startAll()
  const watchers: Watcher[] = []
  const ending = new AbortController()
  try {
    const urls = mesh.replicas.map(({ process }) => process.url)
    watchers.push(new Watcher({ urls, after: 0 }), new Watcher({ urls: urls.toReversed(), after: 0 }))
    const operations: Operation[] = []
    const began = performance.now()
    const working = Array.from({ length: clients }, (_, index) =>
      runClient({
        name: `c${index}`,
        seed: seed * clients + index,
        urls,
        pinned: index % 4 === 0,
        signal: ending.signal,
        record: operation => operations.push(operation),
      }),
    )
    const injecting = injectFaults(
      scheduleFaults(seed, durationMs),
      {
        postgres,
        replicas: mesh.replicas,
        onFault: fault => onFault?.(fault, Math.round(performance.now() - began)),
      },
      AbortSignal.timeout(durationMs),
    )
    await delay(durationMs)
    const faults = await injecting
    ending.abort()
    await Promise.all(working)

    const head = await eventually(
      'a last write at each replica',
      async () => {
        let last = 0
        for (const { api, name } of mesh.replicas) {
          const body = { address: '127.0.0.1', port: 9, lease: null, metadata: { mark: `end-${name}` } }
          const { revision } = await api.register('omega', name, body)
          last = Math.max(last, revision ?? 0)
        }
        return last
      },
      settleMs,
    )
    const logs = await Promise.all(
      mesh.replicas.map(async ({ api, name }) => {
        await eventually(
          `${name} to have everything`,
          async () => (await api.status()).revision >= head,
          settleMs,
        )
        return { replica: name, sets: logOf(await api.changes()).filter(({ revision }) => revision <= head) }
      }),
    )
    await eventually(
      'the watchers to have seen everything',
      () => watchers.every(({ revisions }) => (revisions.at(-1) ?? 0) >= head),
      settleMs,
    )
    const history: History = {
      operations,
      logs,
      watchers: watchers.map(({ sets }, index) => ({
        name: `watcher ${index + 1}`,
        sets: logOf(sets).filter(({ revision }) => revision <= head),
      })),
    }
    return { history, violations: checkHistory(history), faults }
  } finally {
    ending.abort()
    await Promise.all(watchers.map(watcher => watcher.stop()))
    await close()
  }
}
