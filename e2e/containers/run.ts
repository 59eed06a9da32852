// One story with every part in a container of its own. The last line says `N passed, N failed, N skipped`.
// With CI=true podman is installed where it is missing, and that it cannot run is a failure.
import { randomBytes } from 'node:crypto'
import { formatTally, type Tally } from '@waymark/deploy/checks/tally.ts'
import { UserError } from '@waymark/deploy/local/user-error.ts'
import { findPodman, Podman } from './podman.ts'
import { runSteps } from './steps.ts'
import { Story } from './story.ts'

const inCi = process.env['CI'] === 'true'

const tell = async (): Promise<Tally> => {
  let story: Story
  try {
    const engine = await findPodman({ install: inCi })
    story = new Story(new Podman({ engine, run: `waymark-e2e-${randomBytes(4).toString('hex')}` }))
  } catch (error) {
    if (!inCi && !(error instanceof UserError)) throw error
    console.log(error instanceof Error ? error.message : String(error))
    return inCi ? { passed: 0, failed: 1, skipped: 0 } : { passed: 0, failed: 0, skipped: 1 }
  }
  let ending: Promise<void> | null = null
  const end = (): Promise<void> => (ending ??= story.end())
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      console.log('stopping the containers')
      void end().then(() => process.kill(process.pid, signal))
    })
  }
  try {
    return await runSteps(story.steps, line => {
      console.log(line)
    })
  } finally {
    await end()
  }
}

const tally = await tell()
console.log(formatTally(tally))
if (tally.failed > 0) process.exitCode = 1
