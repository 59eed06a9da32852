/** Why an instance is what it is, for a person on call: what says so, since when, and what would end it. Pure. */
import { hostPort } from '@waymark/sidecar-config/model/host-port.ts'
import type { InstanceDetailView } from '../rest/schemas/instance.ts'
import { ago, printable } from './table.ts'

type Evidence = InstanceDetailView['evidence'][number]
type Check = InstanceDetailView['checks'][number]

/** One thing that speaks for or against the instance. */
interface Finding {
  /** Greater is worse. */
  readonly rank: number
  readonly says: string
  readonly details: readonly string[]
}

/** `in 25m`; `any moment` for what has passed: somebody is about to do it. */
const ahead = (then: string, now: number): string =>
  Date.parse(then) <= now ? 'any moment' : `in ${ago(new Date(now).toISOString(), then)}`

const statusRanks = { passing: 1, warning: 2, critical: 3 } as const

const target = (check: Check): string => {
  const tls = check.tls === undefined || check.tls === null ? '' : ' over TLS'
  if (check.kind === 'http') return `${check.method ?? 'GET'} ${check.path ?? '/'}${tls}`
  if (check.kind === 'grpc')
    return `gRPC health${check.service === '' ? '' : ` of ${check.service ?? ''}`}${tls}`
  return `a connection${tls}`
}

const checkOf = ({ source }: Evidence, { checks }: InstanceDetailView): Check | undefined =>
  source.startsWith('check:') ? checks[Number(source.slice('check:'.length))] : undefined

/** Who says it. */
const title = (evidence: Evidence, instance: InstanceDetailView): string => {
  const { source } = evidence
  const check = checkOf(evidence, instance)
  if (check !== undefined) return `${source}, ${target(check)} every ${check.interval ?? ''}`
  if (source.startsWith('service-check:')) return `${source}, of the Service document`
  if (source === 'lease') return 'its heartbeats'
  if (source === 'report') return 'the instance itself'
  return source === 'traffic' ? 'the sidecars that call it' : source
}

/** What would end a status that is not passing. */
const end = (evidence: Evidence, instance: InstanceDetailView, now: number): string => {
  const { source, status } = evidence
  const check = checkOf(evidence, instance)
  if (check !== undefined) {
    const times = check.healthyThreshold ?? 1
    return `ends when the check passes ${times === 1 ? 'once' : `${times} times in a row`}`
  }
  if (source.startsWith('service-check:')) return 'ends when the check passes as often as its threshold asks'
  if (source === 'lease') {
    const { removeAt } = instance
    return `ends with its next heartbeat${removeAt === null ? '' : `; else it is removed ${ahead(removeAt, now)}`}`
  }
  if (source === 'report')
    return 'ends when its heartbeats report another status, or when it registers otherwise'
  if (source !== 'traffic') return 'ends when the source says otherwise'
  return status === 'critical'
    ? 'ends with a trial: it gets a share of its weight again'
    : 'ends with its trial'
}

const evidenceFinding = (evidence: Evidence, instance: InstanceDetailView, now: number): Finding => {
  const { status, output, observer, since, observedAt, validUntil } = evidence
  const over = validUntil !== null && Date.parse(validUntil) <= now
  const confirmed = `${instance.freshness === 'log' ? 'at most ' : ''}${ago(observedAt, now)} ago`
  const valid =
    validUntil === null || over ? '' : `, valid for another ${ago(new Date(now).toISOString(), validUntil)}`
  const ended = over ? [`no longer valid, since ${ago(validUntil, now)}`] : []
  return {
    rank: over ? 0 : statusRanks[status],
    says: `${status} for ${ago(since, now)}: ${title(evidence, instance)}`,
    details: [
      ...(output === '' ? [] : [printable(output)]),
      `seen by ${observer}, last ${confirmed}${valid}`,
      ...ended,
      ...(status === 'passing' || over ? [] : [end(evidence, instance, now)]),
    ],
  }
}

const overrideFinding = (instance: InstanceDetailView, now: number): Finding[] => {
  const { override, removeAt, service, id } = instance
  if (override === null) return []
  const { status, reason, leaving, actor, since, expiresAt } = override
  const ends = leaving
    ? `ends with its removal ${removeAt === null ? '' : ahead(removeAt, now)}, or when it registers again`
    : expiresAt === null
      ? `ends with: waymark override ${service}/${id} none`
      : `ends ${ahead(expiresAt, now)}, or with: waymark override ${service}/${id} none`
  return [
    {
      rank: 5,
      says: `${status} for ${ago(since, now)}: ${leaving ? 'it leaves' : 'an override'}`,
      details: [`set by ${actor}${reason === '' ? '' : `: ${printable(reason)}`}`, ends],
    },
  ]
}

const holdFinding = ({ flapping }: InstanceDetailView, now: number): Finding[] =>
  flapping === null
    ? []
    : [
        {
          rank: 4,
          says: `flapping for ${ago(flapping.since, now)}: held at ${flapping.verdict}, its verdict changes too often`,
          details: [`ends ${ahead(flapping.until, now)}, unless its verdict changes again`],
        },
      ]

const silence: Finding = {
  rank: 0,
  says: 'nobody has said anything about it that still holds',
  details: [
    'ends with its first heartbeat, or when one of its checks has decided; until then it gets requests',
  ],
}

/** The lines of one instance: its verdict, and everything behind it, worst first. */
export const explainInstance = (instance: InstanceDetailView, now: number): string => {
  const { service, id, verdict, address, port, revision } = instance
  const evidence = instance.evidence.map(one => evidenceFinding(one, instance, now))
  const findings = [...overrideFinding(instance, now), ...holdFinding(instance, now), ...evidence].sort(
    (a, b) => b.rank - a.rank,
  )
  const known = verdict === 'unknown' ? [silence, ...findings] : findings
  return [
    `${service}/${id} is ${verdict.toUpperCase()} (${hostPort({ host: address, port })}, revision ${revision})`,
    ...known.flatMap(({ says, details }) => [`  ${says}`, ...details.map(detail => `    ${detail}`)]),
  ].join('\n')
}
