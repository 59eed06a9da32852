import type { balancers, retryConditions } from './traffic-policy.ts'

/** What finally holds for calls to a destination. Durations as in documents (`15s`). */
export interface TrafficSettings {
  readonly timeouts: TimeoutSettings
  readonly retries: RetrySettings
  readonly connectionLimits: LimitSettings
  readonly outlierDetection: OutlierSettings
  readonly loadBalancing: LoadBalancing
  /** Percent, 0 to 100. */
  readonly panicThreshold: number
}

export interface TimeoutSettings {
  readonly connect: string
  readonly request: string
  readonly perTry: string
  readonly idle: string
  readonly connectionIdle: string
}

export interface RetrySettings {
  readonly attempts: number
  readonly on: readonly (typeof retryConditions)[number][]
  readonly backoff: { readonly base: string; readonly max: string }
  /** null: `connectionLimits.retries` is the limit. */
  readonly budget: RetryBudget | null
}

export interface RetryBudget {
  readonly percent: number
  readonly minConcurrency: number
}

export interface LimitSettings {
  readonly connections: number
  readonly pending: number
  readonly requests: number
  readonly retries: number
}

export interface OutlierSettings {
  readonly enabled: boolean
  readonly consecutive5xx: number
  readonly consecutiveGatewayFailures: number
  readonly interval: string
  readonly baseEjectionTime: string
  readonly maxEjectionTime: string
  readonly maxEjectionPercent: number
}

export interface LoadBalancing {
  readonly policy: (typeof balancers)[number]
  readonly hashOn?: HashOn | undefined
  readonly leastRequest?: { readonly choiceCount: number } | undefined
  readonly ringHash?: { readonly minimumSize: number; readonly maximumSize: number } | undefined
  readonly maglev?: { readonly tableSize: number } | undefined
  readonly slowStart?: { readonly window: string } | undefined
}

export interface HashOn {
  readonly header?: string | undefined
  readonly cookie?: string | undefined
  readonly cookieTtl?: string | undefined
  readonly source?: boolean | undefined
}

/** The part of the settings that a cluster is made of. */
export interface ClusterPolicy {
  readonly timeouts: Pick<TimeoutSettings, 'connect' | 'connectionIdle'>
  readonly retryBudget: RetryBudget | null
  readonly connectionLimits: LimitSettings
  readonly outlierDetection: OutlierSettings
  readonly loadBalancing: Omit<LoadBalancing, 'hashOn'>
  readonly panicThreshold: number
}

/** The part of the settings that a route is made of. */
export interface RoutePolicy {
  readonly timeouts: Pick<TimeoutSettings, 'request' | 'perTry' | 'idle'>
  readonly retries: Omit<RetrySettings, 'budget'>
  readonly hashOn: HashOn | null
}

export const clusterPolicyOf = (settings: TrafficSettings): ClusterPolicy => {
  const { hashOn: _, ...loadBalancing } = settings.loadBalancing
  return {
    timeouts: { connect: settings.timeouts.connect, connectionIdle: settings.timeouts.connectionIdle },
    retryBudget: settings.retries.budget,
    connectionLimits: settings.connectionLimits,
    outlierDetection: settings.outlierDetection,
    loadBalancing,
    panicThreshold: settings.panicThreshold,
  }
}

export const routePolicyOf = ({ timeouts, retries, loadBalancing }: TrafficSettings): RoutePolicy => ({
  timeouts: { request: timeouts.request, perTry: timeouts.perTry, idle: timeouts.idle },
  retries: { attempts: retries.attempts, on: retries.on, backoff: retries.backoff },
  hashOn: loadBalancing.hashOn ?? null,
})
