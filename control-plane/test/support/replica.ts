import { MeshState } from '../../src/mesh/mesh-state.ts'
import { Feed } from '../../src/feed/feed.ts'
import { Registry } from '../../src/registry/registry.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLogger } from '../../src/runtime/logger.ts'
import { ChangeLog } from '../../src/store/change-log.ts'
import { Sequencer } from '../../src/store/sequencer.ts'
import type { TestDatabase } from './database.ts'

/** The writing and following core of one replica, on a test's own database. */
export interface TestReplica {
  readonly sequencer: Sequencer
  readonly registry: Registry
  readonly log: ChangeLog
  readonly feed: Feed
  readonly mesh: MeshState
  /** Resolves when it has read the mesh. */
  loaded(): Promise<void>
  stop(): Promise<void>
}

export const startReplica = ({ connection, database }: TestDatabase): TestReplica => {
  const common = { clock: systemClock, logger: silentLogger, random: Math.random }
  const mesh = new MeshState()
  const log = new ChangeLog({ database, connection })
  const feed: Feed = new Feed({
    ...common,
    log,
    follower: mesh,
    ownBackend: () => sequencer.connection.backend,
    ownConnections: () => sequencer.connection.connections,
    pollMs: 200,
  })
  const sequencer: Sequencer = new Sequencer({
    ...common,
    connection,
    history: feed,
    onCommitted: sets => {
      feed.offer(sets)
    },
  })
  const abort = new AbortController()
  const running = [sequencer.start(abort.signal), feed.start(abort.signal)]
  return {
    sequencer,
    registry: new Registry(sequencer),
    log,
    feed,
    mesh,
    loaded: () =>
      new Promise(resolve => {
        if (mesh.loaded) resolve()
        else
          mesh.onDelta(() => {
            resolve()
          })
      }),
    stop: async () => {
      abort.abort()
      await Promise.all(running)
    },
  }
}
