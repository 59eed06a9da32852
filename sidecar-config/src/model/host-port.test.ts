import { expect, test } from 'vitest'
import { hostPort } from './host-port.ts'

test.each([
  ['10.0.0.1', 80, '10.0.0.1:80'],
  ['localhost', 7_400, 'localhost:7400'],
  ['::1', 80, '[::1]:80'],
])('%s and %i are %s', (host, port, text) => {
  expect(hostPort({ host, port })).toBe(text)
  expect(new URL(`http://${text}`).hostname).toBe(host.includes(':') ? `[${host}]` : host)
})
