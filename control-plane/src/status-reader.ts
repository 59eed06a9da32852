import { ModeTracker } from './domain/mode-tracker.ts'
import type { ModeState } from './domain/mode.ts'
import type { FeedStatus } from './feed/feed.ts'
import type { SweeperStatus } from './health/sweeper.ts'
import type { MeshState } from './mesh/mesh-state.ts'
import type { ReplicaReport, SinkReport, StatusReader, StatusReport } from './rest/ports.ts'
import type { Clock } from './runtime/clock.ts'
import type { Component } from './runtime/component.ts'
import type { Logger } from './runtime/logger.ts'
import type { WriteState } from './store/write-health.ts'

interface ReplicaStatusOptions {
  readonly replica: string
  readonly clock: Clock
  readonly logger: Logger
  readonly mesh: MeshState
  readonly feed: { status(): FeedStatus }
  readonly sequencer: { readonly writes: WriteState }
  readonly sweeper: { status(): SweeperStatus }
  readonly sinks: () => readonly SinkReport[]
  readonly replicas: () => readonly ReplicaReport[]
  readonly streams: () => number
  /** Streams that wait to be admitted. */
  readonly newcomers: () => number
}

/** What this replica can say of itself and of the mesh, from memory: it answers also without a database. */
export class ReplicaStatus implements StatusReader, Component {
  readonly name = 'status'
  readonly #options: ReplicaStatusOptions
  readonly #startedAt: string
  readonly #modes = new ModeTracker()

  constructor(options: ReplicaStatusOptions) {
    this.#options = options
    this.#startedAt = new Date(options.clock.now()).toISOString()
  }

  /** Looks once a second, so that a mode's beginning is when it began and not when somebody asked. */
  async start(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    let before = new Map<string, string>()
    while (!signal.aborted) {
      const modes = this.modes()
      for (const { capability, mode, evidence } of modes) {
        const changed = before.has(capability) && before.get(capability) !== mode
        if (changed) logger.warn({ capability, mode, evidence }, 'a mode has changed')
      }
      before = new Map(modes.map(({ capability, mode }) => [capability, mode]))
      await clock.sleep(1_000, signal)
    }
  }

  modes(): ModeState[] {
    const { mesh, feed, sequencer, sweeper, sinks, newcomers, clock } = this.#options
    const { connected, lastError, head, slowestMs } = feed.status()
    const { recoveringUntil, selfPreservation } = sweeper.status()
    return this.#modes.states(
      {
        loaded: mesh.loaded,
        database: { connected, lastError, slowestMs },
        writes: sequencer.writes,
        revision: mesh.revision,
        head,
        swept: selfPreservation !== null,
        recoveringUntil,
        selfPreservation: selfPreservation?.active === true ? selfPreservation.reason : null,
        newcomers: newcomers(),
        sinks: sinks(),
      },
      clock.now(),
    )
  }

  status(): Promise<StatusReport> {
    const { replica, mesh, feed, sweeper, sinks, replicas, streams } = this.#options
    const { connected, head } = feed.status()
    return Promise.resolve({
      replica,
      startedAt: this.#startedAt,
      revision: mesh.revision,
      head: connected ? Math.max(head, mesh.revision) : null,
      modes: this.modes(),
      streams: streams(),
      replicas: connected ? replicas() : null,
      sinks: connected ? sinks() : null,
      selfPreservation: sweeper.status().selfPreservation,
    })
  }
}
