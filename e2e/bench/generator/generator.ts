import { fileURLToPath } from 'node:url'
import { BenchProcess } from '../bench-process.ts'
import type { ConnectOptions, FleetCounts } from './fleet.ts'
import type { GeneratorHandlers, GeneratorSetup } from './generator-process.ts'
import type { ChangeReceipt, VersionReceipt } from './receipts.ts'
import type { SidecarPlan } from './sidecar-plan.ts'

const program = fileURLToPath(import.meta.resolve('./generator-process.ts'))

/** Each sidecar is an open file; a process may have 20,000 on the machines that this was made for. */
const sidecarsPerProcess = 10_000

/** Simulated sidecars in as many processes as it takes. */
export class Generator {
  readonly #processes: readonly BenchProcess<GeneratorHandlers>[]
  readonly #sidecars: number

  private constructor(processes: readonly BenchProcess<GeneratorHandlers>[], sidecars: number) {
    this.#processes = processes
    this.#sidecars = sidecars
  }

  /** Runs `work` with the sidecars set up, not connected. */
  static async with<T>(
    setup: Omit<GeneratorSetup, 'plan'> & {
      readonly plan: Omit<SidecarPlan, 'from'> & { readonly from?: number }
    },
    work: (generator: Generator) => Promise<T>,
  ): Promise<T> {
    const { count, from = 0 } = setup.plan
    const processes: BenchProcess<GeneratorHandlers>[] = []
    try {
      for (let start = 0; start < count; start += sidecarsPerProcess) {
        const process = new BenchProcess<GeneratorHandlers>({ program })
        processes.push(process)
        const plan = { ...setup.plan, from: from + start, count: Math.min(sidecarsPerProcess, count - start) }
        await process.ask('setUp', { ...setup, plan })
      }
      return await work(new Generator(processes, count))
    } finally {
      await Promise.all(processes.map(process => process.stop()))
    }
  }

  get sidecars(): number {
    return this.#sidecars
  }

  /** Resolves when all are configured, with when each was (`machineTime`), in order. */
  async connect({
    atOnce = 0,
    timeoutMs = 120_000,
    addresses,
  }: Partial<ConnectOptions> & Pick<ConnectOptions, 'addresses'>): Promise<readonly number[]> {
    const each = atOnce === 0 ? 0 : Math.max(1, Math.floor(atOnce / this.#processes.length))
    const options = { addresses, atOnce: each, timeoutMs }
    const times = await Promise.all(this.#processes.map(process => process.ask('connect', options)))
    return times.flat().sort((a, b) => a - b)
  }

  /** Cuts all connections. */
  async disconnect(): Promise<void> {
    await Promise.all(this.#processes.map(process => process.ask('disconnect', undefined)))
  }

  /** Of all processes together. */
  async counts(): Promise<FleetCounts> {
    const all = await Promise.all(this.#processes.map(process => process.ask('counts', undefined)))
    const sum: FleetCounts = {
      connected: 0,
      ended: 0,
      responses: 0,
      resources: 0,
      resourceBytes: 0,
      ends: {},
    }
    for (const { connected, ended, responses, resources, resourceBytes, ends } of all) {
      sum.connected += connected
      sum.ended += ended
      sum.responses += responses
      sum.resources += resources
      sum.resourceBytes += resourceBytes
      for (const [end, count] of Object.entries(ends)) sum.ends[end] = (sum.ends[end] ?? 0) + count
    }
    return sum
  }

  /** When the first response since the last `connect` came (`machineTime`); null: none yet. */
  async firstResponse(): Promise<number | null> {
    const all = await Promise.all(this.#processes.map(process => process.ask('firstResponse', undefined)))
    return all.reduce((first, one) => (one === null || (first !== null && first < one) ? first : one), null)
  }

  /** Versions of the watched endpoints count from now on, up to every sidecar. */
  async expect(): Promise<void> {
    let left = this.#sidecars
    for (const process of this.#processes) {
      await process.ask('expect', Math.min(sidecarsPerProcess, left))
      left -= sidecarsPerProcess
    }
  }

  /** The next version of the watched endpoints that every sidecar has; rejects when it takes too long. */
  async next(timeoutMs = 60_000): Promise<VersionReceipt> {
    const all = await within(
      timeoutMs,
      Promise.all(this.#processes.map(process => process.ask('next', undefined))),
    )
    const version = all[0]?.version ?? ''
    return { version, at: all.flatMap(({ at }) => at).sort((a, b) => a - b) }
  }

  /** By their numbers: at how many sidecars, and when the first and the last had it. */
  async changes(): Promise<ReadonlyMap<number, { streams: number; first: number; last: number }>> {
    const merged = new Map<number, { streams: number; first: number; last: number }>()
    const add = ([change, streams, first, last]: ChangeReceipt): void => {
      const known = merged.get(change)
      if (known === undefined) merged.set(change, { streams, first, last })
      else {
        known.streams += streams
        known.first = Math.min(known.first, first)
        known.last = Math.max(known.last, last)
      }
    }
    for (const process of this.#processes) for (const one of await process.ask('changes', undefined)) add(one)
    return merged
  }
}

const within = async <T>(timeoutMs: number, work: Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`the sidecars have not got a version within ${timeoutMs} ms`))
    }, timeoutMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
