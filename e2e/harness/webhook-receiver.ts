/**
 * A webhook's other end, in a process of its own so that it can be killed for real. Appends every event with a
 * good signature to a file before it answers 204. Its only argument is JSON (`WebhookReceiverConfig`).
 */
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { Webhook } from 'standardwebhooks'

interface WebhookReceiverConfig {
  readonly port: number
  readonly file: string
  readonly secret: string
}

const { port, file, secret } = JSON.parse(process.argv[2] ?? '') as WebhookReceiverConfig
const webhook = new Webhook(secret)
// The last process may have been killed in the middle of a line.
appendFileSync(file, '\n')

const server = createServer((request, response) => {
  text(request)
    .then(body => {
      const headers = Object.fromEntries(
        ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map(name => [
          name,
          String(request.headers[name] ?? ''),
        ]),
      )
      appendFileSync(file, `${JSON.stringify(webhook.verify(body, headers))}\n`)
      response.writeHead(204).end()
    })
    .catch((error: unknown) => {
      appendFileSync(file, `${JSON.stringify({ refused: String(error) })}\n`)
      response.writeHead(400).end()
    })
})
server.listen(port, '127.0.0.1')
process.once('SIGTERM', () => {
  server.close()
  server.closeAllConnections()
})
