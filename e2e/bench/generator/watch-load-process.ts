/** Watchers and blocking queries in a process of their own. */
import type { Socket } from 'node:net'
import { answerQuestions } from '../bench-process.ts'
import { openBlocking, openWatcher, type Arrivals } from './watch-load.ts'

interface WatchOrder {
  readonly url: string
  readonly watchPath: string
  readonly watchers: number
  readonly queryPath: string
  readonly queries: number
  /** What the queries have seen already. */
  readonly index: number
}

const sockets: Socket[] = []
const watched: Arrivals = new Map()
const queried: Arrivals = new Map()
/** Connections that are opened at once: a listener takes so many. */
const atOnce = 100

const openAll = async (count: number, one: () => Promise<Socket>): Promise<void> => {
  for (let opened = 0; opened < count; opened += atOnce) {
    const wanted = Math.min(atOnce, count - opened)
    sockets.push(...(await Promise.all(Array.from({ length: wanted }, one))))
  }
}

const handlers = {
  open: async (order: WatchOrder): Promise<void> => {
    await openAll(order.watchers, () => openWatcher(order.url, order.watchPath, watched))
    await openAll(order.queries, () => openBlocking(order.url, order.queryPath, order.index, queried))
  },
  /** When each of them heard of a revision. */
  arrivals: (
    revision: number,
  ): { readonly watched: readonly number[]; readonly queried: readonly number[] } => ({
    watched: watched.get(revision) ?? [],
    queried: queried.get(revision) ?? [],
  }),
  close: (): void => {
    for (const socket of sockets.splice(0)) socket.destroy()
  },
}

export type WatchLoadHandlers = typeof handlers

answerQuestions(handlers)
