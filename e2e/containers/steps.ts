import { addTallies, type Tally } from '@waymark/deploy/checks/tally.ts'

export interface Step {
  readonly name: string
  /** What was seen, in a few words; rejects when it is not as it should be. */
  readonly run: () => Promise<string>
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

/** Runs steps in order, each building on those before: after a failure the rest count as failed, too. */
export const runSteps = async (steps: readonly Step[], write: (line: string) => void): Promise<Tally> => {
  const tallies: Tally[] = []
  for (const [index, { name, run }] of steps.entries()) {
    const began = performance.now()
    try {
      const seen = await run()
      write(`ok      ${name} (${seconds(performance.now() - began)}): ${seen}`)
      tallies.push({ passed: 1, failed: 0, skipped: 0 })
    } catch (error) {
      write(
        `FAILED  ${name} (${seconds(performance.now() - began)}): ${error instanceof Error ? error.message : String(error)}`,
      )
      tallies.push({ passed: 0, failed: steps.length - index, skipped: 0 })
      for (const left of steps.slice(index + 1)) write(`FAILED  ${left.name}: not reached`)
      break
    }
  }
  return addTallies(tallies)
}
