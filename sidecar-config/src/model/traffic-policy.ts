import { Type, type Static } from 'typebox'
import { booleanField, choiceField, closed, durationField, integerField, serviceField } from './schema.ts'

/** `unreached` is ours (envoy/unreached.ts); the others are Envoy's own conditions. */
export const retryConditions = [
  'connect-failure',
  'refused-stream',
  'reset-before-request',
  'unreached',
  'reset',
  'gateway-error',
  '5xx',
  'retriable-4xx',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
] as const

export const balancers = ['roundRobin', 'leastRequest', 'ringHash', 'maglev', 'random'] as const

const headerName = "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$"

const timeouts = Type.Object(
  {
    connect: Type.Optional(
      durationField({ min: '1ms', max: '1m', description: 'Until a connection to an instance stands.' }),
    ),
    request: Type.Optional(
      durationField({
        min: '0s',
        max: '24h',
        description:
          'From the end of the request to the end of the response, all tries together. 0s: no limit.',
      }),
    ),
    perTry: Type.Optional(
      durationField({ min: '0s', max: '24h', description: 'One try of a request. 0s: no limit of its own.' }),
    ),
    idle: Type.Optional(
      durationField({
        min: '0s',
        max: '24h',
        description: 'Without a byte in either direction, the request ends. 0s: no limit.',
      }),
    ),
    connectionIdle: Type.Optional(
      durationField({
        min: '100ms',
        max: '24h',
        description:
          'After which an unused connection to an instance is closed. Keep it below the keep-alive timeout of the application.',
      }),
    ),
  },
  closed,
)

const retries = Type.Object(
  {
    attempts: Type.Optional(
      integerField({ minimum: 0, maximum: 10, description: 'Tries after the first one. 0: never retry.' }),
    ),
    on: Type.Optional(
      Type.Array(choiceField({ values: retryConditions, description: 'When to try again.' }), {
        minItems: 1,
        maxItems: retryConditions.length,
        uniqueItems: true,
        description: 'When to try again; any of them is enough.',
        'x-accepted': `a list of different conditions out of: ${retryConditions.join(', ')}`,
      }),
    ),
    backoff: Type.Optional(
      Type.Object(
        {
          base: durationField({
            min: '1ms',
            max: '1m',
            description: 'Upper end of the first, random pause.',
          }),
          max: durationField({ min: '1ms', max: '10m', description: 'Upper end of any pause.' }),
        },
        { ...closed, description: 'The pause before a retry: random, its upper end doubles each time.' },
      ),
    ),
    budget: Type.Optional(
      Type.Object(
        {
          percent: integerField({
            minimum: 0,
            maximum: 100,
            description: 'Retries at once, as a share of the requests at once.',
          }),
          minConcurrency: integerField({
            minimum: 0,
            maximum: 100_000,
            description: 'Retries at once that are always allowed.',
          }),
        },
        { ...closed, description: 'Bounds retries by load. Replaces connectionLimits.retries.' },
      ),
    ),
  },
  closed,
)

const limit = (minimum: number, description: string) =>
  Type.Optional(integerField({ minimum, maximum: 1_000_000, description }))

const connectionLimits = Type.Object(
  {
    connections: limit(1, 'Open connections.'),
    // Each request waits for a connection for a moment: with 0 hardly any would be served.
    pending: limit(1, 'Requests that wait for a connection.'),
    requests: limit(1, 'Requests at once.'),
    retries: limit(0, 'Retries at once.'),
  },
  { ...closed, description: 'Of one sidecar to all instances together; what is above gets 503 at once.' },
)

const outlierDetection = Type.Object(
  {
    enabled: Type.Optional(booleanField('Whether failing instances are ejected for a while.')),
    consecutive5xx: Type.Optional(
      integerField({ minimum: 0, maximum: 1_000_000, description: '5xx answers in a row. 0: do not count.' }),
    ),
    consecutiveGatewayFailures: Type.Optional(
      integerField({
        minimum: 0,
        maximum: 1_000_000,
        description: '502, 503, 504, resets and failed connects in a row. 0: do not count.',
      }),
    ),
    interval: Type.Optional(
      durationField({ min: '100ms', max: '1h', description: 'How often ejections are reviewed.' }),
    ),
    baseEjectionTime: Type.Optional(
      durationField({
        min: '100ms',
        max: '24h',
        description: 'Length of the first ejection; the n-th lasts n times as long.',
      }),
    ),
    maxEjectionTime: Type.Optional(
      durationField({ min: '100ms', max: '24h', description: 'The longest ejection.' }),
    ),
    maxEjectionPercent: Type.Optional(
      integerField({ minimum: 0, maximum: 100, description: 'Of the instances, ejected at once.' }),
    ),
  },
  closed,
)

// Tables are built anew at each change of endpoints, on every worker of every caller: their sizes are kept below
// what Envoy would take.
const loadBalancing = Type.Object(
  {
    policy: choiceField({ values: balancers, description: 'How an instance is chosen.' }),
    hashOn: Type.Optional(
      Type.Object(
        {
          header: Type.Optional(
            Type.String({
              pattern: headerName,
              description: 'The value of this request header.',
              'x-accepted': 'the name of a header, at most 128 characters',
            }),
          ),
          cookie: Type.Optional(
            Type.String({
              pattern: headerName,
              description: 'The value of this cookie; one is set where it is missing.',
              'x-accepted': 'the name of a cookie, at most 128 characters',
            }),
          ),
          cookieTtl: Type.Optional(
            durationField({
              min: '0s',
              max: '8760h',
              description: 'How long a cookie lives that the sidecar sets. 0s: for the session.',
            }),
          ),
          source: Type.Optional(booleanField('The IP address of whoever called the sidecar.')),
        },
        {
          ...closed,
          description: 'What is hashed: header, cookie or source. Needed by ringHash and maglev.',
        },
      ),
    ),
    leastRequest: Type.Optional(
      Type.Object(
        {
          choiceCount: integerField({
            minimum: 2,
            maximum: 100,
            description: 'Instances drawn, of which the one with the fewest requests is taken.',
          }),
        },
        closed,
      ),
    ),
    ringHash: Type.Optional(
      Type.Object(
        {
          minimumSize: integerField({
            minimum: 1,
            maximum: 65_536,
            description: 'Least points on the ring.',
          }),
          maximumSize: integerField({
            minimum: 1,
            maximum: 1_048_576,
            description: 'Most points on the ring.',
          }),
        },
        closed,
      ),
    ),
    maglev: Type.Optional(
      Type.Object(
        {
          tableSize: integerField({
            minimum: 2,
            maximum: 655_373,
            description: 'Size of the lookup table; a prime number.',
          }),
        },
        closed,
      ),
    ),
    slowStart: Type.Optional(
      Type.Object(
        {
          window: durationField({
            min: '100ms',
            max: '1h',
            description: 'For how long a new instance gets less than its share, growing.',
          }),
        },
        { ...closed, description: 'For roundRobin and leastRequest.' },
      ),
    ),
  },
  { ...closed, description: 'Taken as a whole from the narrowest policy that has it.' },
)

export const trafficPolicySchema = Type.Object(
  {
    destination: Type.Optional(
      serviceField('The service that is called. Default: the name of the document.'),
    ),
    caller: Type.Optional(serviceField('Only for requests of this service. Default: of all.')),
    timeouts: Type.Optional(timeouts),
    retries: Type.Optional(retries),
    connectionLimits: Type.Optional(connectionLimits),
    outlierDetection: Type.Optional(outlierDetection),
    loadBalancing: Type.Optional(loadBalancing),
    panicThreshold: Type.Optional(
      integerField({
        minimum: 0,
        maximum: 100,
        description:
          'Percent. With fewer healthy instances, requests go to all of them, healthy or not. 0: never, rather 503.',
      }),
    ),
  },
  { ...closed, description: 'How calls to a service behave.' },
)

/** A `TrafficPolicy` as written; only what is written, since a field that is missing comes from a wider level. */
export type TrafficPolicySpec = Static<typeof trafficPolicySchema> & { destination: string }

export const completeTrafficPolicy = (
  spec: Static<typeof trafficPolicySchema>,
  name: string,
): TrafficPolicySpec => ({ ...spec, destination: spec.destination ?? name })
