import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { Webhook } from 'standardwebhooks'
import { describe, expect, it } from 'vitest'
import { parseWebhookSecret, signWebhook } from './webhook-signature.ts'

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const keyOf = (text: string): Buffer => {
  const key = parseWebhookSecret(text)
  if (key === null) throw new Error('not a secret')
  return key
}

describe('webhook signatures', () => {
  it('give the signature of the published example', () => {
    const message = {
      id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      timestamp: 1_614_265_330,
      body: '{"test": 2432232314}',
    }
    expect(signWebhook(message, [keyOf(secret)])).toEqual({
      'webhook-id': message.id,
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    })
  })

  it('are verified by the reference library, with the old and the new secret of a rotation', () => {
    const other = `whsec_${randomBytes(32).toString('base64')}`
    fc.assert(
      fc.property(fc.json(), fc.uuid(), (body, id) => {
        const timestamp = Math.floor(Date.now() / 1_000)
        const headers = signWebhook({ id, timestamp, body }, [keyOf(secret), keyOf(other)])
        for (const known of [secret, other]) {
          expect(() => new Webhook(known).verify(body, headers)).not.toThrow()
        }
        expect(() => new Webhook(secret).verify(`${body} `, headers)).toThrow()
      }),
      { numRuns: 30 },
    )
  })
})

describe('webhook secrets', () => {
  it('are 24 to 64 bytes in base64, with or without the prefix', () => {
    for (const size of [24, 32, 64]) {
      const key = randomBytes(size)
      expect(parseWebhookSecret(`whsec_${key.toString('base64')}`)).toEqual(key)
      expect(parseWebhookSecret(key.toString('base64').replace(/=+$/, ''))).toEqual(key)
    }
    for (const size of [0, 23, 65])
      expect(parseWebhookSecret(randomBytes(size).toString('base64'))).toBeNull()
    for (const text of ['', 'whsec_', 'password', `${'A'.repeat(40)}!`, 'A'.repeat(41)]) {
      expect(parseWebhookSecret(text)).toBeNull()
    }
  })
})
