/**
 * The floor of watches: a bare node:http server that holds requests, and at each PUT writes the same prepared bytes to
 * all of them: one event to a watcher and one answer to a query in turn, which then asks again.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { answerQuestions } from '../bench-process.ts'

interface ServeOrder {
  readonly watchPath: string
  /** The bytes of an event after its id. */
  readonly event: Uint8Array
  /** Of an answer: its body, and its headers but for the revision. */
  readonly answer: Uint8Array
  readonly headers: Readonly<Record<string, string>>
}

const handlers = {
  /** Resolves with its URL. */
  serve: async ({ watchPath, event, answer, headers }: ServeOrder): Promise<string> => {
    const watchers: ServerResponse[] = []
    let queries: ServerResponse[] = []
    let revision = 1
    const eventRest = Buffer.from(event)
    const body = Buffer.from(answer)

    const tellAll = (): void => {
      const bytes = Buffer.concat([Buffer.from(`id: ${revision}\n`), eventRest])
      const told = queries
      queries = []
      const answerHeaders = { ...headers, 'x-waymark-revision': revision, 'content-length': body.length }
      for (let index = 0; index < Math.max(watchers.length, told.length); index += 1) {
        const watcher = watchers[index]
        // Else the event would wait for the end of the turn.
        watcher?.cork()
        watcher?.write(bytes)
        watcher?.uncork()
        told[index]?.writeHead(200, answerHeaders).end(body)
      }
    }
    const answerRequest = ({ method, url = '' }: IncomingMessage, response: ServerResponse): void => {
      if (method === 'PUT') {
        revision += 1
        response.writeHead(200, { 'x-waymark-revision': revision, 'content-length': 0 }).end()
        setImmediate(tellAll)
      } else if (url === watchPath) {
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write('retry: 1000\n\n')
        watchers.push(response)
      } else queries.push(response)
    }
    const server = createServer(answerRequest).listen({ host: '127.0.0.1', port: 0 })
    await once(server, 'listening')
    // What `address` gives for a listener on TCP.
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  },
}

export type BareWatchHandlers = typeof handlers

answerQuestions(handlers)
