import type { Instance } from '../../domain/instance.ts'
import type { Revision } from '../../domain/revision.ts'
import type { Registry } from '../../registry/registry.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Component } from '../../runtime/component.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { OwnedRole } from '../../store/owned-role.ts'
import type { TrafficTable } from '../../store/traffic-table.ts'
import type { MeshView } from '../mesh-view.ts'
import { HeldInstances } from './held-instances.ts'
import { TrafficBook, type ReportedLoads, type TrafficMesh, type TrafficReport } from './traffic-book.ts'
import { TrafficDecider } from './traffic-decider.ts'
import { TrafficHandover, type TallyRow } from './traffic-handover.ts'

/** The part of xds/load-reports/load-book.ts that passive health reads. */
export interface LoadSource extends ReportedLoads {
  onReport(listener: (reporter: { readonly id: string }, report: TrafficReport) => void): () => void
}

export interface TrafficHealthOptions {
  readonly mesh: MeshView & TrafficMesh & { readonly revision: Revision }
  readonly loads: LoadSource
  readonly table: TrafficTable<TallyRow>
  /** One owner among all replicas decides. */
  readonly role: OwnedRole
  readonly registry: Pick<Registry, 'observe' | 'withdraw'>
  readonly members: () => readonly string[]
  readonly clock: Clock
  readonly logger: Logger
  readonly intervalMs?: number
}

/** Less than what makes rows of the handover invalid. */
const longestPauseMs = 10_000

/** The name of the role whose owner decides. */
export const trafficRole = 'traffic'

/**
 * Passive health: what sidecars report of their calls becomes evidence. Every replica keeps what its own sidecars
 * have seen of services that fail, and hands it over once a second; the owner of the role puts it together and
 * decides (`decideTraffic`). docs/adr/030-passive-health.md says why.
 */
export class TrafficHealth implements Component {
  readonly name = 'traffic-health'
  readonly #options: TrafficHealthOptions
  readonly #book: TrafficBook
  readonly #held: HeldInstances
  readonly #handover: TrafficHandover
  readonly #decider: TrafficDecider
  #failing = false

  constructor(options: TrafficHealthOptions) {
    this.#options = options
    const { mesh } = options
    this.#book = new TrafficBook(options)
    const onTurn = (instance: Instance): void => {
      this.#book.forget(instance)
    }
    this.#held = new HeldInstances({ mesh, onTurn })
    this.#handover = new TrafficHandover({ ...options, book: this.#book, held: this.#held })
    this.#decider = new TrafficDecider({ ...options, held: this.#held })
  }

  async start(signal: AbortSignal): Promise<void> {
    const { loads, role } = this.#options
    const ends = [
      this.#held.follow(),
      loads.onReport(({ id }, report) => {
        this.#book.take(id, report)
      }),
    ]
    const handingOver = this.#repeat(signal, () => this.#handover.step())
    await role.run(signal, ownership =>
      this.#repeat(ownership.signal, () => this.#decider.step({ role: trafficRole, fence: ownership.fence })),
    )
    await handingOver
    for (const end of ends) end()
  }

  status() {
    return { ...this.#book.size, held: this.#held.census(), ...this.#decider.counters }
  }

  /**
   * Once per interval until the signal aborts; says once that it fails. Where a step takes long, the next one comes
   * later, so that passive health never takes more than about a tenth of the time.
   */
  async #repeat(signal: AbortSignal, step: () => Promise<void>): Promise<void> {
    const { clock, logger, intervalMs = 1_000 } = this.#options
    while (!signal.aborted) {
      const began = clock.monotonic()
      try {
        await step()
        this.#failing = false
      } catch (error) {
        if (!this.#failing) logger.warn({ error: String(error) }, 'passive health waits for the database')
        this.#failing = true
      }
      const tookMs = clock.monotonic() - began
      await clock.sleep(Math.max(intervalMs, Math.min(longestPauseMs, 9 * tookMs)), signal)
    }
  }
}
