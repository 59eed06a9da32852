import { Type, type Static } from 'typebox'
import { booleanField, choiceField, closed, durationField, serviceField } from './schema.ts'

/** Changes that a sink may ask for; `instance.*` and `document.*` stand for all of a kind. */
const eventTypes = [
  'instance.*',
  'instance.registered',
  'instance.updated',
  'instance.health',
  'instance.draining',
  'instance.deregistered',
  'document.*',
  'document.applied',
  'document.deleted',
] as const

const sinkTypes = ['webhook', 'kafka', 'nats', 'file', 'stdout'] as const
export type EventSinkType = (typeof sinkTypes)[number]

const secretPattern = '^[a-z][a-z0-9-]{0,61}[a-z0-9]$'

/** A document names secrets and never holds them: it can be read by everybody who may read documents. */
const secretField = (description: string) =>
  Type.String({
    pattern: secretPattern,
    description,
    'x-accepted': 'the name of a secret: 2 to 63 lower-case letters, digits and "-", beginning with a letter',
  })

const hostPort = '^(?:[A-Za-z0-9._-]{1,253}|\\[[0-9A-Fa-f:.]{2,45}\\]):[0-9]{1,5}$'
const addressesField = (description: string) =>
  Type.Array(
    Type.String({ pattern: hostPort, 'x-accepted': 'host:port, for example broker-1.example.com:9092' }),
    {
      minItems: 1,
      maxItems: 16,
      uniqueItems: true,
      description,
      'x-accepted': 'a list of 1 to 16 different addresses host:port',
    },
  )

/** Begins names of topics and subjects. */
const prefixField = (description: string) =>
  Type.String({
    pattern: '^[A-Za-z0-9_-]{1,50}(?:\\.[A-Za-z0-9_-]{1,50}){0,4}$',
    maxLength: 100,
    description,
    'x-accepted': 'words of letters, digits, "_" and "-" joined by dots, at most 100 characters',
  })

const textField = (maxLength: number, description: string) =>
  Type.String({
    minLength: 1,
    maxLength,
    pattern: '^[^\\u0000-\\u001f\\u007f]*$',
    description,
    'x-accepted': `a text of 1 to ${maxLength} characters`,
  })

const timeout = Type.Optional(
  durationField({ min: '100ms', max: '1m', description: 'How long one delivery may take.' }),
)

const tls = Type.Optional(
  Type.Object(
    {
      ca: Type.Optional(
        secretField('Roots that the server is checked against (PEM). Default: the well-known.'),
      ),
      certificate: Type.Optional(secretField('A client certificate (PEM).')),
      key: Type.Optional(secretField('Its key (PEM).')),
    },
    { ...closed, description: 'TLS; {} turns it on without a client certificate.' },
  ),
)

const webhook = Type.Object(
  {
    url: Type.Optional(
      Type.String({
        pattern: '^https?://',
        maxLength: 2_000,
        description: 'Where to POST.',
        'x-accepted': 'an http or https URL without user and password',
      }),
    ),
    urlSecret: Type.Optional(secretField('A secret that holds the URL, for one with a token in it.')),
    secret: Type.Optional(secretField('A secret that holds the signing key. Default: the name of the sink.')),
    batch: Type.Optional(booleanField('One request for many events. Default: false.')),
    timeout,
    tls,
  },
  closed,
)

const kafka = Type.Object(
  {
    brokers: addressesField('Brokers to begin with.'),
    topicPrefix: Type.Optional(prefixField('Topics are {topicPrefix}.instance and {topicPrefix}.document.')),
    createTopics: Type.Optional(
      booleanField('Asks the broker to create topics that do not exist. Default: false.'),
    ),
    format: Type.Optional(
      choiceField({
        values: ['structured', 'binary'],
        description: 'The content mode of the CloudEvents Kafka binding.',
      }),
    ),
    timeout,
    tls,
    sasl: Type.Optional(
      Type.Object(
        {
          mechanism: choiceField({
            values: ['plain', 'scram-sha-256', 'scram-sha-512'],
            description: 'PLAIN only with TLS.',
          }),
          username: textField(200, 'Who logs in.'),
          password: secretField('A secret that holds the password.'),
        },
        closed,
      ),
    ),
  },
  closed,
)

const nats = Type.Object(
  {
    servers: addressesField('Servers of one cluster.'),
    subjectPrefix: Type.Optional(
      prefixField('Subjects are {subjectPrefix}.instance.{service} and {subjectPrefix}.document.{kind}.'),
    ),
    inboxPrefix: Type.Optional(
      prefixField(
        'Acknowledgements come to {inboxPrefix}.>, which the user needs to subscribe to. Default: _INBOX.',
      ),
    ),
    createStream: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9_-]{1,100}$',
        description:
          'Creates a stream of this name for the subjects if there is none. Default: it has to exist.',
        'x-accepted': 'a name of up to 100 letters, digits, "_" and "-"',
      }),
    ),
    timeout,
    tls,
    username: Type.Optional(textField(200, 'Who logs in; with password.')),
    password: Type.Optional(secretField('A secret that holds the password.')),
    token: Type.Optional(secretField('A secret that holds a token.')),
    credentials: Type.Optional(secretField('A secret that holds the text of a .creds file.')),
    nkey: Type.Optional(secretField('A secret that holds the seed of an NKey.')),
  },
  closed,
)

const file = Type.Object(
  {
    name: Type.String({
      pattern: '^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$',
      description: 'In the folder that WAYMARK_SINK_FILES_DIR names.',
      'x-accepted': 'a file name of up to 100 letters, digits, ".", "_" and "-"',
    }),
  },
  closed,
)

export const eventSinkSchema = Type.Object(
  {
    type: choiceField({
      values: sinkTypes,
      description: 'Where events go. Its settings are in the field of this name.',
    }),
    start: Type.Optional(
      choiceField({
        values: ['oldest', 'now'],
        description: 'Where a new sink begins: with the oldest change kept, or with the next one.',
      }),
    ),
    filter: Type.Optional(
      Type.Object(
        {
          types: Type.Optional(
            Type.Array(choiceField({ values: eventTypes, description: 'A type of change.' }), {
              minItems: 1,
              maxItems: eventTypes.length,
              uniqueItems: true,
              description: 'Only these.',
              'x-accepted': `a list of different types out of: ${eventTypes.join(', ')}`,
            }),
          ),
          services: Type.Optional(
            Type.Array(serviceField('A service.'), {
              minItems: 1,
              maxItems: 100,
              uniqueItems: true,
              description:
                'Only their instances, and documents that bear or name one of them as destination.',
              'x-accepted': 'a list of 1 to 100 different service names',
            }),
          ),
        },
        { ...closed, description: 'What the sink gets; both have to fit. Default: everything.' },
      ),
    ),
    webhook: Type.Optional(webhook),
    kafka: Type.Optional(kafka),
    nats: Type.Optional(nats),
    file: Type.Optional(file),
  },
  { ...closed, description: 'Where changes are published. The document has the name of the sink.' },
)

type Written = Static<typeof eventSinkSchema>

/** An `EventSink` as written, with the defaults that do not depend on its type filled in. */
export type EventSinkSpec = Written & { readonly start: 'oldest' | 'now' }

export const completeEventSink = (spec: Written): EventSinkSpec => ({
  ...spec,
  start: spec.start ?? 'oldest',
})

const sinkName = /^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$/
export const sinkNameAccepted = 'up to 40 lower-case letters, digits and "-", beginning with a letter'

/** Names the sink's cursor and its role, too. */
export const isSinkName = (name: string): boolean => sinkName.test(name)
