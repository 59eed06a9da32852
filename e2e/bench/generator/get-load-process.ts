/** Clients that read the same path over and over, in a process of their own. */
import { setTimeout as delay } from 'node:timers/promises'
import { answerQuestions } from '../bench-process.ts'
import { GetLoad } from './get-load.ts'

interface LoadOrder {
  readonly url: string
  readonly path: string
  readonly clients: number
  readonly ms: number
}

const handlers = {
  /** Answers per second, and the length of their bodies. Every answer must be a 200. */
  load: async ({ url, path, clients, ms }: LoadOrder): Promise<{ perSecond: number; bytes: number }> => {
    let answers = 0
    let length = 0
    let refused = 0
    const loads = await Promise.all(
      Array.from({ length: clients }, () =>
        GetLoad.open(url, path, (status, bytes) => {
          answers += 1
          length = bytes
          if (status !== 200) refused = status
        }),
      ),
    )
    const started = performance.now()
    for (const load of loads) load.start()
    await delay(ms)
    const perSecond = answers / ((performance.now() - started) / 1_000)
    for (const load of loads) load.stop()
    if (refused !== 0) throw new Error(`${path} was answered with ${refused}`)
    return { perSecond, bytes: length }
  },
}

export type GetLoadHandlers = typeof handlers

answerQuestions(handlers)
