import type { EvidenceStatus } from '../../domain/evidence.ts'
import type { TrafficHold } from '../../domain/traffic-hold.ts'
import type { PassiveHealth } from '@waymark/sidecar-config/model/passive-health.ts'
import { failureShare, volume } from './counts.ts'
import { explainEjection, explainReadmission, explainTrial } from './explain.ts'
import { noTally, type InstanceTally, type ServiceTally } from './tally.ts'

/** One instance of the service in question. */
export interface TrafficSubject {
  readonly id: string
  /** What its evidence by traffic says; null: it has none. */
  readonly hold: TrafficHold | null
  /** It is meant to get requests: nobody has it in maintenance, and it does not leave. */
  readonly present: boolean
  /** It gets requests now. */
  readonly routable: boolean
}

export interface TrafficInput {
  /** Postgres time, milliseconds since the epoch. */
  readonly now: number
  readonly settings: PassiveHealth
  /** All instances of the service. */
  readonly instances: readonly TrafficSubject[]
  readonly tally: ServiceTally
}

/** What becomes of one instance. `hold` null: the evidence is withdrawn. */
export type TrafficDecision = { readonly id: string } & (
  | { readonly hold: null }
  | {
      readonly hold: TrafficHold
      readonly status: EvidenceStatus
      readonly output: string
      readonly validForMs: number
    }
)

export interface TrafficDecisions {
  readonly decisions: readonly TrafficDecision[]
  /** Instances that stay only since too many are out already. */
  readonly spared: readonly string[]
}

/** How much longer than its step evidence is valid, for an owner that has to be replaced first. */
const graceMs = 60_000
/** From one step of a trial to the next. */
const trialGrowth = 4
const stepsInAll = 30

/** How long the n-th ejection lasts. */
export const ejectionMs = (level: number, { baseEjectionMs, maxEjectionMs }: PassiveHealth): number =>
  Math.min(maxEjectionMs, baseEjectionMs * 2 ** Math.min(stepsInAll, level - 1))

/** How many instances may be out at once: at least one of two, never the only one. */
export const ejectionLimit = (present: number, { maxEjectionPercent }: PassiveHealth): number =>
  present < 2 || maxEjectionPercent === 0
    ? 0
    : Math.min(present - 1, Math.max(1, Math.floor((present * maxEjectionPercent) / 100)))

/** How many sidecars have to agree where so many call the instance: never one alone. */
export const quorumOf = (reporters: number, { minReporters, reporterPercent }: PassiveHealth): number =>
  Math.max(
    2,
    Math.min(minReporters, Math.floor(reporters / 2) + 1),
    Math.ceil((reporters * reporterPercent) / 100),
  )

/** Enough requests, too many of them failed, and enough of those who made them agree. */
const condemned = (tally: InstanceTally, least: number, settings: PassiveHealth): boolean =>
  // Decay must not take away the request that makes the number whole.
  volume(tally) >= least - 0.5 &&
  failureShare(tally) * 100 >= settings.failurePercent &&
  tally.against >= quorumOf(tally.reporters, settings)

const worstFirst = (tally: ServiceTally) => (a: TrafficSubject, b: TrafficSubject) => {
  const [x, y] = [tally.get(a.id) ?? noTally, tally.get(b.id) ?? noTally]
  return failureShare(y) - failureShare(x) || y.against - x.against || (a.id < b.id ? -1 : 1)
}

const longestOutFirst = (a: TrafficSubject, b: TrafficSubject): number =>
  Date.parse(a.hold?.from ?? '') - Date.parse(b.hold?.from ?? '') || (a.id < b.id ? -1 : 1)

/** What one instance would do if it were alone. */
const moveOf = ({ hold, id }: TrafficSubject, { now, settings, tally }: TrafficInput) => {
  const seen = tally.get(id) ?? noTally
  const elapsed = hold === null ? 0 : now - Date.parse(hold.from)
  switch (hold?.phase) {
    case 'ejected':
      return elapsed >= ejectionMs(hold.level, settings) ? 'try' : 'stay'
    case 'trial': {
      if (condemned(seen, settings.trialRequests, settings)) return 'eject'
      const decided = volume(seen) >= settings.trialRequests - 0.5
      const well = decided && failureShare(seen) * 100 < settings.failurePercent
      // Where nobody calls it there is nothing to wait for; with more weight more will.
      return elapsed >= (well ? 1 : 2) * settings.trialMs ? 'advance' : 'stay'
    }
    case 'readmitted':
    case undefined:
      if (condemned(seen, settings.minRequests, settings)) return 'eject'
      return hold !== null && elapsed >= settings.maxEjectionMs ? 'forget' : 'stay'
  }
}

const isHeld = ({ hold }: TrafficSubject): boolean => hold?.phase === 'ejected' || hold?.phase === 'trial'

/**
 * Passive health of one service: which instances are left out for what sidecars report, which are tried again, and
 * with what share. An instance is ejected where `condemned`, the worst first, as long as the cap leaves room. After
 * its time it is tried with a small share of its weight, then with a larger one, then it is readmitted; failing
 * in between ejects it again for twice as long. Pure: the same input gives the same decisions.
 */
export const decideTraffic = (input: TrafficInput): TrafficDecisions => {
  const { now, settings, instances, tally } = input
  if (!settings.enabled) {
    const held = instances.filter(({ hold }) => hold !== null)
    return { decisions: held.map(({ id }) => ({ id, hold: null })), spared: [] }
  }
  const from = new Date(now).toISOString()
  const decisions: TrafficDecision[] = []
  const candidates: TrafficSubject[] = []
  const staying: TrafficSubject[] = []
  const limit = ejectionLimit(instances.filter(({ present }) => present).length, settings)
  const tryAgain = ({ id, hold }: TrafficSubject): void => {
    const level = hold?.level ?? 1
    const share = hold?.phase === 'trial' ? hold.share * trialGrowth : settings.trialWeightPercent / 100
    const seen = tally.get(id) ?? noTally
    const step: TrafficHold =
      share < 1 ? { phase: 'trial', share, level, from } : { phase: 'readmitted', share: 1, level, from }
    decisions.push(
      step.phase === 'trial'
        ? {
            id,
            hold: step,
            status: 'warning',
            output: explainTrial(step, seen),
            validForMs: 2 * settings.trialMs + graceMs,
          }
        : {
            id,
            hold: step,
            status: 'passing',
            output: explainReadmission(step, seen),
            validForMs: settings.maxEjectionMs,
          },
    )
  }
  for (const subject of instances) {
    const move = moveOf(subject, input)
    if (move === 'eject') {
      // One that leaves, or is in maintenance, gets no requests anyway.
      if (subject.present) candidates.push(subject)
    } else if (move === 'try' || move === 'advance') tryAgain(subject)
    else if (move === 'forget') decisions.push({ id: subject.id, hold: null })
    else if (subject.hold?.phase === 'ejected') staying.push(subject)
  }
  // The service has become smaller: who has been out for longest is tried first.
  const tooMany = staying.sort(longestOutFirst).slice(0, Math.max(0, staying.length - limit))
  for (const subject of tooMany) tryAgain(subject)

  let ejected = staying.length - tooMany.length
  let held = instances.filter(isHeld).length
  let routable = instances.filter(one => one.routable && one.present && one.hold?.phase !== 'ejected').length
  const spared: string[] = []
  for (const subject of candidates.sort(worstFirst(tally))) {
    const { id, hold } = subject
    const counted = isHeld(subject)
    const others = routable - (subject.routable && subject.present ? 1 : 0)
    if (ejected >= limit || others < 1 || (!counted && held >= limit)) {
      spared.push(id)
      continue
    }
    ejected += 1
    routable = others
    if (!counted) held += 1
    const level = (hold?.level ?? 0) + 1
    const lastsMs = ejectionMs(level, settings)
    const out: TrafficHold = { phase: 'ejected', share: 0, level, from }
    const output = explainEjection(out, { tally: tally.get(id) ?? noTally, until: now + lastsMs })
    decisions.push({ id, hold: out, status: 'critical', output, validForMs: lastsMs + graceMs })
  }
  return { decisions, spared }
}
