import type { EncodedEvent } from './cloud-event.ts'

/** The most events of `events` from `from` on that may be under way together: no two of one aggregate. */
export const nextWave = (events: readonly EncodedEvent[], from: number): readonly EncodedEvent[] => {
  const aggregates = new Set<string>()
  let end = from
  for (let event = events[end]; event !== undefined; event = events[(end += 1)]) {
    const { partitionkey } = event.event
    if (aggregates.has(partitionkey)) break
    aggregates.add(partitionkey)
  }
  return events.slice(from, end)
}
