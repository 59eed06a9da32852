import { join } from 'node:path'
import { durationMs } from '@waymark/sidecar-config/model/duration.ts'
import type { EventSinkSpec } from '@waymark/sidecar-config/model/event-sink.ts'
import { NdjsonFileSink } from './ndjson-file-sink.ts'
import type { Secrets } from './secrets.ts'
import type { SinkParts } from './sink-parts.ts'
import { DeliveryError, type Sink } from './sink.ts'
import { StdoutSink } from './stdout-sink.ts'
import { acceptedSecret, parseWebhookSecret } from './webhook-signature.ts'
import { WebhookSink } from './webhook-sink.ts'

interface Named<Spec> {
  readonly name: string
  readonly spec: Spec
}
type Settings<Type extends 'webhook' | 'kafka' | 'nats' | 'file'> = NonNullable<EventSinkSpec[Type]>

const defaultTimeout = '15s'
const defaultPrefix = 'waymark.changes'

/** What is missing now may be there later: the sink waits, and says what for. */
const refuse = (message: string): never => {
  throw new DeliveryError(message, { kind: 'retryable' })
}

const readTls = async (
  tls: Settings<'kafka'>['tls'],
  secrets: Secrets,
): Promise<{ ca?: string; cert?: string; key?: string } | null> => {
  if (tls === undefined) return null
  const { ca, certificate, key } = tls
  return {
    ...(ca === undefined ? {} : { ca: await secrets.read(ca) }),
    ...(certificate === undefined ? {} : { cert: await secrets.read(certificate) }),
    ...(key === undefined ? {} : { key: await secrets.read(key) }),
  }
}

const openWebhook = async ({ name, spec }: Named<Settings<'webhook'>>, parts: SinkParts): Promise<Sink> => {
  const { url: written, urlSecret, secret = name, batch = false, timeout = defaultTimeout } = spec
  const text = urlSecret === undefined ? written : await parts.secrets.read(urlSecret)
  // Of a URL that is a secret nothing is shown.
  if (text === undefined || !/^https?:\/\//.test(text) || !URL.canParse(text))
    return refuse('the URL of the webhook is none')
  const keys = (await parts.secrets.read(secret)).split(/[\s,]+/).map(parseWebhookSecret)
  if (!keys.every(key => key !== null) || keys.length > 4)
    return refuse(`the secret ${secret} is not up to 4 keys, each ${acceptedSecret}`)
  const tls = await readTls(spec.tls, parts.secrets)
  return new WebhookSink({
    name,
    url: new URL(text),
    keys,
    batch,
    timeoutMs: durationMs(timeout),
    clock: parts.clock,
    allowsAddress: parts.allowsAddress,
    ...(tls === null ? {} : { tls }),
  })
}

const mechanisms = {
  plain: 'PLAIN',
  'scram-sha-256': 'SCRAM-SHA-256',
  'scram-sha-512': 'SCRAM-SHA-512',
} as const

const openKafka = async ({ name, spec }: Named<Settings<'kafka'>>, parts: SinkParts): Promise<Sink> => {
  const { brokers, topicPrefix = defaultPrefix, createTopics = false, format = 'structured', sasl } = spec
  const { KafkaSink } = await import('./kafka-sink.ts')
  return new KafkaSink({
    name,
    brokers,
    topicPrefix,
    createTopics,
    format,
    timeoutMs: durationMs(spec.timeout ?? defaultTimeout),
    tls: await readTls(spec.tls, parts.secrets),
    sasl:
      sasl === undefined
        ? null
        : {
            mechanism: mechanisms[sasl.mechanism],
            username: sasl.username,
            password: await parts.secrets.read(sasl.password),
          },
    clock: parts.clock,
    allowsAddress: parts.allowsAddress,
  })
}

const openNats = async ({ name, spec }: Named<Settings<'nats'>>, parts: SinkParts): Promise<Sink> => {
  const {
    servers,
    subjectPrefix = defaultPrefix,
    inboxPrefix = '_INBOX',
    createStream = null,
    username,
    password,
    token,
    credentials,
    nkey,
  } = spec
  const { secrets, clock, allowsAddress } = parts
  const { NatsSink } = await import('./nats-sink.ts')
  return new NatsSink({
    name,
    servers,
    login: {
      ...(username === undefined || password === undefined
        ? {}
        : { user: username, pass: await secrets.read(password) }),
      ...(token === undefined ? {} : { token: await secrets.read(token) }),
    },
    credentials: credentials === undefined ? null : await secrets.read(credentials),
    nkey: nkey === undefined ? null : await secrets.read(nkey),
    tls: await readTls(spec.tls, secrets),
    subjectPrefix,
    inboxPrefix,
    createStream,
    timeoutMs: durationMs(spec.timeout ?? defaultTimeout),
    clock,
    allowsAddress,
  })
}

/** The sink of a document. Rejects when a secret or a folder is not there. */
export const openEventSink = async (
  { name, spec }: Named<EventSinkSpec>,
  parts: SinkParts,
): Promise<Sink> => {
  const { type, webhook, kafka, nats, file } = spec
  if (type === 'webhook' && webhook !== undefined) return openWebhook({ name, spec: webhook }, parts)
  if (type === 'kafka' && kafka !== undefined) return openKafka({ name, spec: kafka }, parts)
  if (type === 'nats' && nats !== undefined) return openNats({ name, spec: nats }, parts)
  if (type === 'stdout') return new StdoutSink({ name, stream: parts.stdout })
  if (file === undefined) return refuse(`a sink of type ${type} has no settings`)
  if (parts.filesDirectory === null) return refuse('WAYMARK_SINK_FILES_DIR is not set on this replica')
  return new NdjsonFileSink({ name, path: join(parts.filesDirectory, file.name) })
}
