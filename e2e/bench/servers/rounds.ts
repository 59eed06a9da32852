import { setTimeout as delay } from 'node:timers/promises'
import { machineTime } from '../../harness/machine-time.ts'
import type { FanOutRound, ScatterRound, ServerMemory } from './fan-out-server.ts'

const roundTimeoutMs = 60_000

/** Writes to a few streams at a time, at a steady pace, until `acked` (a total) has grown by all that was written. */
export const runScatter = async (options: {
  readonly changes: number
  /** Written at each change. */
  readonly receivers: number
  readonly everyMs: number
  readonly change: (receivers: number) => void
  readonly acked: () => number
}): Promise<ScatterRound> => {
  const { changes, receivers, everyMs, change, acked } = options
  const before = process.cpuUsage()
  const target = acked() + changes * receivers
  const started = machineTime()
  for (let turn = 0; turn < changes; turn += 1) {
    change(receivers)
    await delay(Math.max(0, started + (turn + 1) * everyMs - machineTime()))
  }
  while (acked() < target) {
    if (machineTime() - started > changes * everyMs + roundTimeoutMs)
      throw new Error(`${target - acked()} ACKs have not come within ${roundTimeoutMs} ms`)
    await delay(1)
  }
  const { user, system } = process.cpuUsage(before)
  return { cpuUs: user + system }
}

/** Runs `change` so many times, each time until `acked` (a total) has grown by the streams. */
export const runRound = async (options: {
  readonly changes: number
  readonly streams: number
  readonly change: () => void
  readonly acked: () => number
}): Promise<FanOutRound> => {
  const at: number[] = []
  const before = process.cpuUsage()
  const started = machineTime()
  for (let turn = 0; turn < options.changes; turn += 1) {
    const target = options.acked() + options.streams
    at.push(machineTime())
    options.change()
    while (options.acked() < target) {
      if (machineTime() - started > roundTimeoutMs)
        throw new Error(`${target - options.acked()} ACKs have not come within ${roundTimeoutMs} ms`)
      await new Promise(resolve => setTimeout(resolve, 1))
    }
  }
  const { user, system } = process.cpuUsage(before)
  return { at, cpuUs: user + system, elapsedMs: machineTime() - started }
}

/** Needs `--expose-gc` to collect. */
export const processMemory = ({ collect }: { readonly collect: boolean }): ServerMemory => {
  if (collect) globalThis.gc?.()
  return { rss: process.memoryUsage.rss() }
}
