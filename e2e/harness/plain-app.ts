import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * An application in this process that answers every request, and never closes a connection by itself: a request
 * that fails was not failed by it.
 */
export const startPlainApp = async (): Promise<{ readonly port: number; readonly stop: () => void }> => {
  const server = createServer({ keepAliveTimeout: 0 }, (_, response) => {
    response.setHeader('x-instance', String(port))
    response.end('here')
  })
  await new Promise<void>(resolve => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    port,
    stop: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
