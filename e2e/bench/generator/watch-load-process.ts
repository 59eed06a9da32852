/** Watchers and blocking queries in a process of their own. */
import { answerQuestions } from '../bench-process.ts'
import { WatchLoad } from './watch-load.ts'

interface WatchOrder {
  readonly url: string
  readonly watchPath: string
  readonly watchers: number
  readonly queryPath: string
  readonly queries: number
  /** What the queries have seen already. */
  readonly index: number
}

interface ArrivalsOrder {
  readonly url: string
  readonly revision: number
}

const loads = new Map<string, WatchLoad>()
/** Connections that are opened at once: a listener takes so many. */
const atOnce = 100

const openAll = async (count: number, one: () => Promise<void>): Promise<void> => {
  for (let opened = 0; opened < count; opened += atOnce) {
    const wanted = Math.min(atOnce, count - opened)
    await Promise.all(Array.from({ length: wanted }, one))
  }
}

const handlers = {
  open: async (order: WatchOrder): Promise<void> => {
    const load = new WatchLoad(order.url)
    loads.set(order.url, load)
    await openAll(order.watchers, () => load.openWatcher(order.watchPath))
    await openAll(order.queries, () => load.openQuery(order.queryPath, order.index))
  },
  /** When each of those of a server heard of a revision. */
  arrivals: ({
    url,
    revision,
  }: ArrivalsOrder): { readonly watched: readonly number[]; readonly queried: readonly number[] } => ({
    watched: loads.get(url)?.watched.get(revision) ?? [],
    queried: loads.get(url)?.queried.get(revision) ?? [],
  }),
  close: (): void => {
    for (const load of loads.values()) load.close()
  },
}

export type WatchLoadHandlers = typeof handlers

answerQuestions(handlers)
