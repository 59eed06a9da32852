/** What a schema cannot say about a `TrafficPolicy`: fields that contradict each other. */
import { durationMs } from './duration.ts'
import type { FieldError } from './field-errors.ts'
import type { TrafficPolicySpec } from './traffic-policy.ts'

const isPrime = (value: number): boolean => {
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false
  return value > 1
}

const timeoutErrors = ({ timeouts }: TrafficPolicySpec): FieldError[] => {
  const request = durationMs(timeouts?.request ?? '0s')
  const perTry = durationMs(timeouts?.perTry ?? '0s')
  if (request === 0 || perTry <= request) return []
  return [
    {
      pointer: '/timeouts/perTry',
      detail: 'one try may take longer than all tries together',
      accepted: `at most timeouts.request (${timeouts?.request ?? ''})`,
    },
  ]
}

const retryErrors = ({ retries }: TrafficPolicySpec): FieldError[] => {
  const backoff = retries?.backoff
  if (backoff === undefined || durationMs(backoff.base) <= durationMs(backoff.max)) return []
  return [
    {
      pointer: '/retries/backoff/base',
      detail: 'is longer than the longest pause',
      accepted: `at most retries.backoff.max (${backoff.max})`,
    },
  ]
}

const ejectionErrors = ({ outlierDetection }: TrafficPolicySpec): FieldError[] => {
  const { baseEjectionTime: base, maxEjectionTime: max } = outlierDetection ?? {}
  if (base === undefined || max === undefined || durationMs(base) <= durationMs(max)) return []
  return [
    {
      pointer: '/outlierDetection/baseEjectionTime',
      detail: 'is longer than the longest ejection',
      accepted: `at most outlierDetection.maxEjectionTime (${max})`,
    },
  ]
}

/** Which option belongs to which policies. */
const optionsOf = {
  hashOn: ['ringHash', 'maglev'],
  leastRequest: ['leastRequest'],
  ringHash: ['ringHash'],
  maglev: ['maglev'],
  slowStart: ['roundRobin', 'leastRequest'],
} as const

const balancingErrors = ({ loadBalancing }: TrafficPolicySpec): FieldError[] => {
  if (loadBalancing === undefined) return []
  const { policy, hashOn, ringHash, maglev } = loadBalancing
  const errors: FieldError[] = []
  const add = (path: string, detail: string, accepted: string) =>
    errors.push({ pointer: `/loadBalancing/${path}`, detail, accepted })

  for (const option of Object.keys(optionsOf) as (keyof typeof optionsOf)[]) {
    const policies: readonly string[] = optionsOf[option]
    if (loadBalancing[option] !== undefined && !policies.includes(policy))
      add(option, `means nothing to the policy ${policy}`, `only with ${policies.join(' or ')}`)
  }
  if ((policy === 'ringHash' || policy === 'maglev') && hashOn === undefined)
    add('hashOn', 'is missing', `what ${policy} hashes: header, cookie or source`)
  if (hashOn !== undefined) {
    const chosen = [hashOn.header !== undefined, hashOn.cookie !== undefined, hashOn.source === true]
    if (chosen.filter(Boolean).length !== 1)
      add('hashOn', 'does not say what to hash', 'exactly one of header, cookie and source: true')
    if (hashOn.cookieTtl !== undefined && hashOn.cookie === undefined)
      add('hashOn/cookieTtl', 'there is no cookie', 'only with cookie')
  }
  // Envoy would keep a cluster with either fault in warming for ever.
  if (ringHash !== undefined && ringHash.minimumSize > ringHash.maximumSize)
    add('ringHash/minimumSize', 'is above maximumSize', `at most ${ringHash.maximumSize}`)
  if (maglev !== undefined && !isPrime(maglev.tableSize))
    add('maglev/tableSize', `${maglev.tableSize} is no prime number`, 'a prime number, such as 65537')
  return errors
}

export const trafficPolicyErrors = (spec: TrafficPolicySpec): FieldError[] => [
  ...timeoutErrors(spec),
  ...retryErrors(spec),
  ...ejectionErrors(spec),
  ...balancingErrors(spec),
]
