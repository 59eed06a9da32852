import { createHmac } from 'node:crypto'

const prefix = 'whsec_'
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/

/** What `parseWebhookSecret` takes, in words. */
export const acceptedSecret = 'whsec_ and the base64 of 24 to 64 random bytes (openssl rand -base64 32)'

/** The key in a secret as Standard Webhooks writes it, or null when it is none: `whsec_` may be left out. */
export const parseWebhookSecret = (text: string): Buffer | null => {
  const encoded = text.startsWith(prefix) ? text.slice(prefix.length) : text
  if (!base64.test(encoded)) return null
  const key = Buffer.from(encoded, 'base64')
  return key.length >= 24 && key.length <= 64 ? key : null
}

export interface WebhookMessage {
  /** The same at every attempt; no full stop in it. */
  readonly id: string
  /** Unix seconds of this attempt. */
  readonly timestamp: number
  readonly body: string
}

/**
 * The headers of Standard Webhooks 1.0, symmetric scheme v1: HMAC-SHA256 over `id.timestamp.body`. With more than
 * one key there is a signature for each, so that a receiver can change its secret without losing an event.
 */
export const signWebhook = (message: WebhookMessage, keys: readonly Buffer[]): Record<string, string> => {
  const signed = `${message.id}.${message.timestamp}.${message.body}`
  const signatures = keys.map(key => `v1,${createHmac('sha256', key).update(signed).digest('base64')}`)
  return {
    'webhook-id': message.id,
    'webhook-timestamp': String(message.timestamp),
    'webhook-signature': signatures.join(' '),
  }
}
