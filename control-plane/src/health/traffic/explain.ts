/** The decisions of passive health in words, with their figures. */
import type { TrafficHold } from '../../domain/traffic-hold.ts'
import { addUp, noRequests, volume, type Counts } from './counts.ts'
import type { InstanceTally } from './tally.ts'

const namedVoters = 3

const requests = (counts: Counts): string => {
  const all = Math.round(volume(counts))
  return `${Math.min(all, Math.round(counts.failed))} of ${all}`
}

export const explainEjection = (
  { level }: TrafficHold,
  { tally, until }: { readonly tally: InstanceTally; readonly until: number },
): string => {
  const elsewhere = tally.worst.reduce<Counts>((sum, voter) => addUp(sum, voter.elsewhere), noRequests)
  const names = tally.worst.slice(0, namedVoters).map(({ reporter }) => reporter.slice(0, 80))
  const more = tally.against > names.length ? ', ...' : ''
  const compared =
    volume(elsewhere) < 0.5 ? '' : `, of their requests to other instances ${requests(elsewhere)}`
  return (
    `${tally.against} of ${tally.reporters} sidecars that call it see it fail (${names.join(', ')}${more}): ` +
    `${requests(tally)} requests failed lately${compared}; ejection ${level}, ` +
    `tried again at ${new Date(until).toISOString()}`
  )
}

export const explainTrial = ({ share, level }: TrafficHold, seen: InstanceTally): string =>
  `on trial after ejection ${level} with ${Math.round(share * 100)} % of its weight` +
  (volume(seen) < 0.5 ? '' : `; ${requests(seen)} requests failed in the step before`)

export const explainReadmission = ({ level }: TrafficHold, seen: InstanceTally): string =>
  `readmitted after ejection ${level}` +
  (volume(seen) < 0.5 ? '; nobody has called it' : `; ${requests(seen)} requests failed in the last step`)
