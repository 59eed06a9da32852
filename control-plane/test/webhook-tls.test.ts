import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { encodedEvents } from '../src/outbox/sink-contract.ts'
import { WebhookSink, type WebhookSinkOptions } from '../src/outbox/webhook-sink.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { TestAuthority } from '../src/xds/testing/test-certificates.ts'

it('a webhook is trusted by the roots of its sink only, and may ask for a certificate', async () => {
  const [authority, others] = [await TestAuthority.create(), await TestAuthority.create('Somebody else')]
  const own = await authority.issue({ dns: ['localhost'] })
  const leaf = await authority.issue({ dns: ['waymark'] })
  let requests = 0
  const server = createServer(
    { cert: own.certificate, key: own.key, ca: authority.pem, requestCert: true, rejectUnauthorized: true },
    (request, response) => {
      requests += 1
      request.resume().on('end', () => response.writeHead(204).end())
    },
  )
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const deliver = async (tls: WebhookSinkOptions['tls']): Promise<void> => {
    const url = new URL(`https://localhost:${port}/`)
    const sink = new WebhookSink({
      ...{ name: 'hook', url, keys: [Buffer.alloc(32)], batch: false, timeoutMs: 5_000, clock: systemClock },
      ...(tls === undefined ? {} : { tls }),
      allowsAddress: address => address === '127.0.0.1',
    })
    await sink.deliver(encodedEvents(1, 1), new AbortController().signal).finally(() => sink.close())
  }
  try {
    const certificate = { cert: leaf.certificate, key: leaf.key }
    await deliver({ ca: authority.pem, ...certificate })
    expect(requests).toBe(1)
    await expect(deliver({ ca: authority.pem })).rejects.toThrow('no answer')
    await expect(deliver({ ca: others.pem, ...certificate })).rejects.toThrow(/no answer: .*(SIGN|ISSUER)/)
    await expect(deliver(undefined)).rejects.toThrow('no answer')
    expect(requests).toBe(1)
  } finally {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
})
