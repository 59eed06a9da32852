import { systemClock } from '@waymark/control-plane/runtime/clock.ts'
import { Registry } from '@waymark/control-plane/registry/registry.ts'
import { migrate } from '@waymark/control-plane/store/migrate.ts'
import { Sequencer } from '@waymark/control-plane/store/sequencer.ts'
import { createLogger } from '@waymark/control-plane/telemetry/logger.ts'
import { progress } from './bench-options.ts'
import { instanceAt, seededRandom, type MeshSize } from './workload.ts'

const atOnce = 4_096

/**
 * Registers all instances of a mesh before any replica runs: the registry and the sequencer of a replica, called
 * directly, so that tables and log hold what REST would have left there.
 */
export const loadMesh = async (databaseUrl: string, size: MeshSize): Promise<void> => {
  const connection = { url: databaseUrl, applicationName: 'waymark-bench' }
  await migrate(connection)
  const logger = createLogger({ level: 'warn', replicaId: 'bench-load' })
  const sequencer = new Sequencer({
    connection,
    clock: systemClock,
    logger,
    random: seededRandom(1),
    onCommitted: () => undefined,
    batchLimit: 2_048,
  })
  const registry = new Registry(sequencer)
  const abort = new AbortController()
  const running = sequencer.start(abort.signal)
  const context = { actor: 'rest', traceparent: null }
  const started = performance.now()
  for (let from = 0; from < size.instances; from += atOnce) {
    const count = Math.min(atOnce, size.instances - from)
    await Promise.all(
      Array.from({ length: count }, (_, offset) => {
        const { service, id, address } = instanceAt(from + offset, size)
        const spec = {
          address,
          port: 80,
          version: 'v1',
          weight: 100,
          metadata: { team: 'core' },
          locality: { region: 'r1', zone: 'z1' },
          lease: null,
          checks: [],
          sidecar: null,
        }
        return registry.register({ service, id, spec }, context)
      }),
    )
  }
  abort.abort()
  await running
  const seconds = (performance.now() - started) / 1_000
  progress(
    `${size.instances} instances of ${size.services} services registered in ${seconds.toFixed(1)} s ` +
      `(${Math.round(size.instances / seconds)}/s)`,
  )
}
