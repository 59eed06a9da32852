import { addUp, failureShare, leastVolume, noRequests, volume, type Counts } from './counts.ts'

/** What one sidecar has seen of the instances of a service, decayed to the present. */
export interface ReporterView {
  /** Its node id. */
  readonly reporter: string
  /** By instance id. */
  readonly windows: ReadonlyMap<string, Counts>
}

/** A sidecar that speaks against an instance, and what it has seen of the other instances of the service. */
export interface Voter extends Counts {
  readonly reporter: string
  readonly elsewhere: Counts
}

/** What the sidecars that call an instance have seen of it. */
export interface InstanceTally extends Counts {
  /** Sidecars that have called it lately. */
  readonly reporters: number
  /** Of them, those that speak against it. */
  readonly against: number
  /** Of those, the ones with the most failures; at most `listedVoters` in what a replica hands over. */
  readonly worst: readonly Voter[]
}

/** By instance id; only of instances that somebody speaks against or that were asked for. */
export type ServiceTally = ReadonlyMap<string, InstanceTally>

/** The greatest quorum, so that replicas can tell each voter of it from the voters of another replica. */
export const listedVoters = 16

export const noTally: InstanceTally = { ...noRequests, reporters: 0, against: 0, worst: [] }

/**
 * Whether a sidecar speaks against an instance: too many of its calls to it fail, and at least twice the share that
 * fails at the other instances. A sidecar that fails everywhere has a fault of its own. One that calls no other
 * instance cannot compare; that it must not be alone is the quorum's business.
 */
export const speaksAgainst = (
  { own, elsewhere }: { readonly own: Counts; readonly elsewhere: Counts },
  failurePercent: number,
): boolean => {
  if (volume(own) < leastVolume) return false
  const share = failureShare(own)
  if (share === 0 || share * 100 < failurePercent) return false
  return volume(elsewhere) < leastVolume || failureShare(elsewhere) * 2 <= share
}

const worstFirst = (a: Voter, b: Voter): number => b.failed - a.failed || (a.reporter < b.reporter ? -1 : 1)

interface Building {
  ok: number
  failed: number
  reporters: number
  readonly voters: Voter[]
}

/** Adds up what the sidecars of one replica have seen. Costs what was seen; pure. */
export const tallyService = ({
  views,
  failurePercent,
  wanted = new Set(),
}: {
  readonly views: Iterable<ReporterView>
  readonly failurePercent: number
  /** Instances that are in the result also if nobody speaks against them. */
  readonly wanted?: ReadonlySet<string>
}): Map<string, InstanceTally> => {
  const building = new Map<string, Building>()
  for (const { reporter, windows } of views) {
    const all = { ok: 0, failed: 0 }
    for (const { ok, failed } of windows.values()) {
      all.ok += ok
      all.failed += failed
    }
    for (const [id, own] of windows) {
      if (volume(own) < leastVolume) continue
      let entry = building.get(id)
      if (entry === undefined) {
        entry = { ok: 0, failed: 0, reporters: 0, voters: [] }
        building.set(id, entry)
      }
      entry.ok += own.ok
      entry.failed += own.failed
      entry.reporters += 1
      if (own.failed === 0) continue
      const elsewhere = { ok: Math.max(0, all.ok - own.ok), failed: Math.max(0, all.failed - own.failed) }
      if (speaksAgainst({ own, elsewhere }, failurePercent))
        entry.voters.push({ ...own, reporter, elsewhere })
    }
  }
  const tally = new Map<string, InstanceTally>()
  for (const [id, { voters, ...sums }] of building) {
    if (voters.length === 0 && !wanted.has(id)) continue
    const worst = voters.sort(worstFirst).slice(0, listedVoters)
    tally.set(id, { ...sums, against: voters.length, worst })
  }
  return tally
}

/**
 * What all replicas together have of one instance. A sidecar that has changed its replica is in the windows of both
 * for a while: among those that are listed it counts once.
 */
export const mergeTallies = (tallies: readonly InstanceTally[]): InstanceTally => {
  const merged = new Map<string, Voter>()
  let [counts, reporters, against] = [noRequests, 0, 0]
  for (const tally of tallies) {
    counts = addUp(counts, tally)
    reporters += tally.reporters
    against += tally.against
    for (const voter of tally.worst) {
      const known = merged.get(voter.reporter)
      if (known === undefined) merged.set(voter.reporter, voter)
      else {
        reporters -= 1
        against -= 1
        const elsewhere = addUp(known.elsewhere, voter.elsewhere)
        merged.set(voter.reporter, { ...addUp(known, voter), reporter: voter.reporter, elsewhere })
      }
    }
  }
  return { ...counts, reporters, against, worst: [...merged.values()].sort(worstFirst) }
}
