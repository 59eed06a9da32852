import compressPlugin from '@fastify/compress'
import fastify from 'fastify'
import { expect, it } from 'vitest'
import { acceptedCoding, compressedSizes } from './accepted-coding.ts'

it('chooses what the plugin would choose, or leaves it the choice', async () => {
  const app = fastify()
  await app.register(compressPlugin, { encodings: ['zstd', 'br', 'gzip'], threshold: compressedSizes.from })
  const text = 'x'.repeat(2_000)
  app.get('/', (_request, reply) => reply.type('application/json').send(text))
  const plain = [
    'gzip',
    'br',
    'zstd',
    'gzip, deflate',
    'gzip, deflate, br',
    'gzip,deflate,br,zstd',
    'br , gzip',
    'identity',
    'compress',
  ]
  const others = ['gzip;q=0', 'br;q=0.5, gzip', '*', 'GZIP', 'x-gzip', '']
  for (const accepted of [...plain, ...others]) {
    const headers = { 'accept-encoding': accepted }
    const chosen = acceptedCoding({ headers }, text.length)
    const { headers: answered } = await app.inject({ url: '/', headers })
    const byPlugin = answered['content-encoding'] ?? null
    expect([accepted, chosen]).toEqual([accepted, plain.includes(accepted) ? byPlugin : undefined])
  }
  await app.close()
})

it('leaves short answers as they are, and long ones to the plugin', () => {
  const headers = { 'accept-encoding': 'gzip' }
  expect(acceptedCoding({ headers }, compressedSizes.from - 1)).toBeNull()
  expect(acceptedCoding({ headers }, compressedSizes.from)).toBe('gzip')
  expect(acceptedCoding({ headers }, compressedSizes.to)).toBe('gzip')
  expect(acceptedCoding({ headers }, compressedSizes.to + 1)).toBeUndefined()
  expect(acceptedCoding({ headers: {} }, compressedSizes.to + 1)).toBeNull()
  expect(acceptedCoding({ headers: { ...headers, 'x-no-compression': '1' } }, 2_000)).toBeUndefined()
})
