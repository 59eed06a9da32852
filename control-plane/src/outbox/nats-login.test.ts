import { nkeys } from '@nats-io/transport-node'
import { expect, it } from 'vitest'
import { natsAuthenticator } from './nats-login.ts'
import { DeliveryError } from './sink.ts'

const user = nkeys.createUser()
const seed = new TextDecoder().decode(user.getSeed())
const jwt = 'eyJ0eXAi.eyJqdGki.c2ln-bmF0dXJl_'
const file = `-----BEGIN NATS USER JWT-----
${jwt}
------END NATS USER JWT------

************************* IMPORTANT *************************
  NKEYs are sensitive and should be treated as secrets.

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------

*************************************************************
`
const bare = file.replaceAll(/^[* ].*\n/gm, '').trim()
const nonce = 'of the server'

it.each([
  ['as tools write it', file],
  ['without an end of its last line', bare],
  ['with the ends of lines of Windows', file.replaceAll('\n', '\r\n')],
  ['on one line, as a variable may have lost its ends of lines', bare.replaceAll(/\n+/g, ' ')],
])('a .creds file is read %s', (_, credentials) => {
  const answer = natsAuthenticator({ credentials, nkey: null })?.(nonce) as { jwt: string; sig: string }
  expect(answer).toMatchObject({ jwt, nkey: user.getPublicKey() })
  expect(user.verify(new TextEncoder().encode(nonce), nkeys.decode(answer.sig))).toBe(true)
})

it('an NKey signs, and nothing is asked for without either', () => {
  expect(natsAuthenticator({ credentials: null, nkey: seed })?.(nonce)).toMatchObject({
    nkey: user.getPublicKey(),
  })
  expect(natsAuthenticator({ credentials: null, nkey: null })).toBeNull()
})

it.each([
  ['no such file', { credentials: `hunter2 ${jwt}`, nkey: null }],
  ['half of one', { credentials: bare.slice(0, bare.indexOf('-----BEGIN USER')), nkey: null }],
  ['two of them', { credentials: bare + bare, nkey: null }],
  [
    'a seed that is none',
    { credentials: bare.replace(seed, seed.slice(0, -2) + (seed.endsWith('AA') ? 'BB' : 'AA')), nkey: null },
  ],
  ['an NKey that is none', { credentials: null, nkey: 'SUhunter2' }],
])('%s is refused, and nothing of it is shown', (_, login) => {
  const failure = ((): unknown => {
    try {
      return natsAuthenticator(login)
    } catch (error) {
      return error
    }
  })()
  expect(failure).toBeInstanceOf(DeliveryError)
  const { message, kind } = failure as DeliveryError
  expect(kind).toBe('retryable')
  for (const part of ['hunter2', 'eyJ', seed.slice(0, 10)]) expect(message).not.toContain(part)
})
