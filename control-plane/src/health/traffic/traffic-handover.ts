import type { TrafficHold } from '../../domain/traffic-hold.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { TrafficTable } from '../../store/traffic-table.ts'
import type { HeldInstances } from './held-instances.ts'
import type { InstanceTally } from './tally.ts'
import type { TrafficBook } from './traffic-book.ts'

/** What a replica hands over about a service, by instance id. */
export type TallyRow = Readonly<
  Record<
    string,
    InstanceTally & {
      /** The begin of the hold during which this was seen; null: there was none. It says nothing about another. */
      readonly during: string | null
    }
  >
>

export interface TrafficHandoverOptions {
  readonly book: TrafficBook
  readonly held: Pick<HeldInstances, 'services' | 'ofService'>
  readonly table: Pick<TrafficTable<TallyRow>, 'save' | 'suspectsOfOthers'>
  readonly clock: Pick<Clock, 'soon'>
}

/** Services and instances of a service that are handed over at once; the rest is next as soon as these calm down. */
const maxServices = 1_000
const maxInstances = 200

const rounded = (value: number): number => Math.round(value * 100) / 100

const worstFirst = ([, a]: [string, InstanceTally], [, b]: [string, InstanceTally]): number =>
  b.against - a.against || b.failed - a.failed

const rowOf = (
  tally: ReadonlyMap<string, InstanceTally>,
  holds: ReadonlyMap<string, TrafficHold>,
): TallyRow =>
  Object.fromEntries(
    [...tally]
      .sort(worstFirst)
      .slice(0, maxInstances)
      .map(([id, one]) => [
        id,
        {
          ...one,
          ok: rounded(one.ok),
          failed: rounded(one.failed),
          during: holds.get(id)?.from ?? null,
        },
      ]),
  )

/**
 * Hands over what this replica's sidecars have seen: of instances that one of them speaks against, of those that
 * other replicas ask about, and of those on trial. Of all others nothing is written.
 */
export class TrafficHandover {
  readonly #options: TrafficHandoverOptions
  /** Services of which there is a row of ours. */
  #written = new Set<string>()

  constructor(options: TrafficHandoverOptions) {
    this.#options = options
  }

  /** Rejects when the database does not answer; the next step writes everything again. */
  async step(): Promise<void> {
    const { book, held, table, clock } = this.#options
    const suspected = book.takeSuspected()
    const asked = await table.suspectsOfOthers(maxServices)
    const services = new Set([...held.services(), ...this.#written, ...suspected, ...asked.keys()])
    const rows: { service: string; suspects: string[]; tally: TallyRow }[] = []
    const calm: string[] = []
    for (const service of services) {
      const holds = held.ofService(service)
      const onTrial = [...holds].filter(([, { phase }]) => phase === 'trial')
      const wanted = new Set([...(asked.get(service) ?? []), ...onTrial.map(([id]) => id)])
      const tally = rowOf(book.tally(service, wanted), holds)
      const suspects = Object.keys(tally).filter(id => (tally[id]?.against ?? 0) > 0)
      if (suspects.length === 0 && wanted.size === 0) {
        if (this.#written.has(service)) calm.push(service)
      } else if (rows.length < maxServices) rows.push({ service, suspects, tally })
      await new Promise<void>(resolve => {
        clock.soon(resolve)
      })
    }
    // Before it is known whether they were written: what is there must be taken back some day.
    this.#written = new Set([...calm, ...rows.map(({ service }) => service)])
    await table.save(rows, calm)
    for (const service of calm) this.#written.delete(service)
    book.prune()
  }
}
