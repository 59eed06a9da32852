/** What a schema cannot say about an `EventSink`: fields that contradict each other. */
import type { EventSinkSpec } from './event-sink.ts'
import type { FieldError } from './field-errors.ts'

const settings = ['webhook', 'kafka', 'nats', 'file'] as const

const missing = (pointer: string, accepted: string): FieldError => ({
  pointer,
  detail: 'is missing',
  accepted,
})

const typeErrors = (spec: EventSinkSpec): FieldError[] => {
  const errors = settings
    .filter(name => name !== spec.type && spec[name] !== undefined)
    .map(name => ({
      pointer: `/${name}`,
      detail: `the type is ${spec.type}`,
      accepted: `only with type ${name}`,
    }))
  const own = settings.find(name => name === spec.type)
  return own !== undefined && spec[own] === undefined
    ? [...errors, missing(`/${own}`, `the settings of a sink of type ${own}`)]
    : errors
}

const webhookErrors = ({ webhook }: EventSinkSpec): FieldError[] => {
  if (webhook === undefined) return []
  const { url, urlSecret } = webhook
  const accepted = 'either webhook.url or webhook.urlSecret'
  if (url === undefined) return urlSecret === undefined ? [missing('/webhook/url', accepted)] : []
  if (urlSecret !== undefined)
    return [{ pointer: '/webhook/urlSecret', detail: 'there is a url, too', accepted }]
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (parsed !== null && parsed.username === '' && parsed.password === '')
    return webhook.tls === undefined || parsed.protocol === 'https:'
      ? []
      : [{ pointer: '/webhook/tls', detail: 'the URL is not one of https', accepted: 'only with https' }]
  return [
    {
      pointer: '/webhook/url',
      detail: parsed === null ? 'is no URL' : 'has a user or a password in it',
      accepted: 'an http or https URL without user and password',
    },
  ]
}

const kafkaErrors = ({ kafka }: EventSinkSpec): FieldError[] =>
  kafka?.sasl?.mechanism === 'plain' && kafka.tls === undefined
    ? [
        {
          pointer: '/kafka/sasl/mechanism',
          detail: 'without TLS the password could be read on the way',
          accepted: 'kafka.tls, or scram-sha-256 or scram-sha-512',
        },
      ]
    : []

const natsErrors = ({ nats }: EventSinkSpec): FieldError[] => {
  if (nats === undefined) return []
  const { username, password, token, credentials, nkey, tls } = nats
  if ((username === undefined) !== (password === undefined))
    return [missing(username === undefined ? '/nats/username' : '/nats/password', 'both or none of the two')]
  const ways = [username, token, credentials, nkey].filter(way => way !== undefined)
  if (ways.length > 1)
    return [
      {
        pointer: '/nats',
        detail: 'has more than one way to log in',
        accepted: 'one of: username with password, token, credentials, nkey',
      },
    ]
  const inClear = username === undefined ? (token === undefined ? null : 'token') : 'password'
  if (inClear === null || tls !== undefined) return []
  return [
    {
      pointer: `/nats/${inClear}`,
      detail: 'without TLS it could be read on the way',
      accepted: 'with nats.tls, or nats.credentials or nats.nkey instead',
    },
  ]
}

const certificateErrors = (spec: EventSinkSpec): FieldError[] =>
  (['webhook', 'kafka', 'nats'] as const).flatMap(name => {
    const { certificate, key } = spec[name]?.tls ?? {}
    if ((certificate === undefined) === (key === undefined)) return []
    return [
      missing(`/${name}/tls/${certificate === undefined ? 'certificate' : 'key'}`, 'both or none of the two'),
    ]
  })

const checks = [typeErrors, webhookErrors, kafkaErrors, natsErrors, certificateErrors]

export const eventSinkErrors = (spec: EventSinkSpec): FieldError[] => checks.flatMap(check => check(spec))
