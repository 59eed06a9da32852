// One instance of the sample mesh. Configured by the environment (settings.ts); ends by SIGTERM (drains first)
// or SIGINT (at once).
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Registration } from './registration.ts'
import { createSampleServer } from './server.ts'
import { readSettings } from './settings.ts'
import { Upstream } from './upstream.ts'

const log = (text: string): void => {
  console.log(`${new Date().toISOString()} ${text}`)
}

const settings = readSettings(process.env)
const upstream =
  settings.upstream === null
    ? null
    : new Upstream({ service: settings.upstream, outbound: settings.outbound })
const server = createSampleServer({ settings, upstream })
server.listen(settings.listen.port, settings.listen.host)
await once(server, 'listening')
log(`listening on ${settings.listen.host}:${settings.listen.port}`)

const registration = new Registration({ settings, log })
const stopBeating = new AbortController()
const beating = registration.run(stopBeating.signal)

let ending = false
const end = async (drainMs: number): Promise<void> => {
  if (ending) return
  ending = true
  stopBeating.abort()
  await beating
  const told = await registration.deregister(drainMs)
  log(told ? `deregistered, serving for another ${drainMs} ms` : 'the control plane could not be told')
  await delay(drainMs)
  server.close(() => {
    upstream?.close()
    log('ended')
  })
  server.closeIdleConnections()
  // What is still open then is a connection that its peer does not close, not a request.
  setTimeout(() => {
    server.closeAllConnections()
  }, 2_000).unref()
}
process.on('SIGTERM', () => void end(settings.drainMs))
process.on('SIGINT', () => void end(0))
