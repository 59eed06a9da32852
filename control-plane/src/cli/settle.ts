import type { Clock } from '../runtime/clock.ts'

/** Between two looks. */
const pollMs = 250
/** What other replicas say of their sidecars is about a second old: what stands out is looked at for longer than that. */
const confirmMs = 2_000

/** `pending`: it will change by itself; `finding`: somebody has to do something, unless it is old news. */
export type Outlook = 'settled' | 'pending' | 'finding'

interface SettleOptions<Answer> {
  readonly ask: () => Promise<Answer>
  readonly outlook: (answer: Answer) => Outlook
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>
  /** 0: the first answer counts. */
  readonly waitMs: number
}

/** Asks again until all is settled, a finding has stood for a while, or the time is over. */
export async function settle<Answer>(options: SettleOptions<Answer>): Promise<Answer> {
  const { ask, outlook, clock, waitMs } = options
  const end = clock.monotonic() + waitMs
  let foundAt: number | undefined
  for (;;) {
    const answer = await ask()
    const now = clock.monotonic()
    const what = outlook(answer)
    if (what === 'settled' || now >= end) return answer
    if (what === 'pending') foundAt = undefined
    else foundAt ??= now
    if (foundAt !== undefined && now - foundAt >= confirmMs) return answer
    await clock.sleep(pollMs)
  }
}
