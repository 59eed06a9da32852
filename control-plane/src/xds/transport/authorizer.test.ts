import * as fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { XdsRefusedError, type XdsPeer } from '../port.ts'
import { newToken } from '../../domain/access-token.ts'
import { TokenBook } from './authorizer-tokens.ts'
import { Authorizer } from './authorizer.ts'
import { spiffeIdsIn } from './peer.ts'

const now = Date.parse('2026-11-21T12:00:00Z')
const hour = 3_600_000

const payments = newToken({ services: ['payments', 'refunds'], expiresAt: now + hour })
const expired = newToken({ services: ['payments'], expiresAt: now })
const tools = newToken({ services: ['*'], expiresAt: now + hour })
const book = TokenBook.parse(JSON.stringify([payments.entry, expired.entry, tools.entry]))

const authorizer = new Authorizer({
  tokens: () => book,
  trustDomain: 'mesh.test',
  now: () => now,
})

const peer = (credential: Partial<XdsPeer>): XdsPeer => ({
  address: '10.0.0.1:1',
  spiffeIds: [],
  bearerToken: undefined,
  ...credential,
})

/** The gRPC status of the refusal, or 0. */
const statusOf = (authorize: () => void): number => {
  try {
    authorize()
    return 0
  } catch (error) {
    if (error instanceof XdsRefusedError) return error.status
    throw error
  }
}
const speaksFor = (service: string | undefined, credential: Partial<XdsPeer>) =>
  statusOf(() => {
    authorizer.authorize(service, peer(credential))
  })

test('X25 a credential covers the nodes of its services and no others', () => {
  const id = 'spiffe://mesh.test/service/payments'
  for (const credential of [{ bearerToken: payments.token }, { spiffeIds: [id] }]) {
    expect(speaksFor('payments', credential)).toBe(0)
    expect(speaksFor('orders', credential)).toBe(7)
    expect(speaksFor(undefined, credential)).toBe(7)
    expect(speaksFor('paymentsx', credential)).toBe(7)
  }
  expect(speaksFor('refunds', { bearerToken: payments.token })).toBe(0)
  expect(speaksFor('orders', { bearerToken: tools.token })).toBe(0)
  expect(speaksFor('payments', { bearerToken: expired.token, spiffeIds: [id] })).toBe(0)
})

test('X25 without a credential that counts nobody is authenticated', () => {
  expect(speaksFor('payments', {})).toBe(16)
  expect(speaksFor('payments', { bearerToken: 'wmt_guess' })).toBe(16)
  expect(speaksFor('payments', { bearerToken: payments.entry.sha256 })).toBe(16)
  expect(speaksFor('payments', { bearerToken: expired.token })).toBe(16)
  for (const id of [
    'spiffe://other.test/service/payments',
    'spiffe://mesh.test/payments',
    'spiffe://mesh.test/service/',
    'spiffe://mesh.test/service/payments/1',
    'spiffe://mesh.test/service/*',
    'https://mesh.test/service/payments',
  ]) {
    expect(speaksFor('payments', { spiffeIds: [id] })).toBe(16)
  }
  const closed = new Authorizer({
    tokens: () => null,
    trustDomain: null,
    now: () => now,
  })
  const all = peer({ bearerToken: tools.token, spiffeIds: ['spiffe://null/service/payments'] })
  expect(
    statusOf(() => {
      closed.authorize('payments', all)
    }),
  ).toBe(16)
})

test('X25 what shows every node needs a token for all services', () => {
  const sees = (credential: Partial<XdsPeer>) =>
    statusOf(() => {
      authorizer.authorizeAll(peer(credential))
    })
  expect(sees({ bearerToken: tools.token })).toBe(0)
  expect(sees({ bearerToken: payments.token })).toBe(7)
  expect(sees({ spiffeIds: ['spiffe://mesh.test/service/payments'] })).toBe(7)
  expect(sees({})).toBe(16)
})

describe('the tokens file', () => {
  it('holds no token', () => {
    expect(JSON.stringify(payments.entry)).not.toContain(payments.token)
    expect(payments.entry).toEqual({
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      services: ['payments', 'refunds'],
      expires: '2026-11-21T13:00:00.000Z',
    })
    expect(newToken({ services: ['a'], expiresAt: now }).token).not.toBe(payments.token)
  })

  it('counts until it expires', () => {
    expect(book.find(payments.token, now + hour - 1)).toEqual(new Set(['payments', 'refunds']))
    expect(book.find(payments.token, now + hour)).toBeUndefined()
  })

  it.each([
    ['{', 'is not JSON'],
    ['{}', 'must be a JSON list'],
    ['[1]', 'entry 1 of the tokens file: is no object'],
    [[payments.entry, { ...payments.entry, sha256: 'ab' }], 'entry 2 of the tokens file: sha256'],
    [[{ ...payments.entry, services: [] }], 'services is no list'],
    [[{ ...payments.entry, services: [''] }], 'services has an entry that is no name'],
    [[{ ...payments.entry, expires: 'never' }], 'expires is no time'],
    [[{ ...payments.entry, expires: undefined }], 'expires is no time'],
    [[{ ...payments.entry, token: 'x' }], 'has a field that does not exist'],
  ])('%j is refused', (content, reason) => {
    const text = typeof content === 'string' ? content : JSON.stringify(content)
    expect(() => TokenBook.parse(text)).toThrow(reason)
  })
})

describe('the SPIFFE id of a certificate', () => {
  const id = 'spiffe://mesh.test/service/payments'

  it('is its only URI', () => {
    expect(spiffeIdsIn(`URI:${id}`)).toEqual([id])
    expect(spiffeIdsIn(`DNS:payments, URI:${id}, IP Address:10.0.0.1`)).toEqual([id])
    expect(spiffeIdsIn(`URI:${id}, URI:spiffe://mesh.test/service/orders`)).toEqual([])
    expect(spiffeIdsIn('URI:https://mesh.test')).toEqual([])
    expect(spiffeIdsIn('')).toEqual([])
  })

  it('does not come out of another name, whatever is in it', () => {
    expect(spiffeIdsIn(`DNS:"x, URI:${id}"`)).toEqual([])
    expect(spiffeIdsIn(`DNS:"x\\", URI:${id}"`)).toEqual([])
    fc.assert(
      fc.property(fc.string(), value => {
        // As Node prints a value that could be mistaken.
        expect(spiffeIdsIn(`DNS:${JSON.stringify(`${value}, URI:${id}`)}`)).toEqual([])
      }),
    )
  })
})
