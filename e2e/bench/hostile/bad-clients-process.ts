/** Bad clients in a process of their own; see `hostile`. */
import { answerQuestions } from '../bench-process.ts'
import type { BadClientOptions, BadClients, BadCounts } from './bad-client.ts'
import { badClientKinds } from './kinds.ts'

let running: BadClients | null = null

const handlers = {
  start: ({ kind, options }: { readonly kind: string; readonly options: BadClientOptions }): void => {
    running?.stop()
    const found = badClientKinds[kind]
    if (found === undefined) throw new Error(`there is no kind ${kind}`)
    running = found.start(options)
  },
  counts: (): BadCounts => ({ ...running?.counts }),
  stop: (): void => {
    running?.stop()
    running = null
  },
}
export type BadClientHandlers = typeof handlers

answerQuestions(handlers)
