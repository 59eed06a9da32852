import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { runCommand } from '@waymark/deploy/local/run-command.ts'
import { figure, median } from './statistics.ts'
import { renderRows } from './table.ts'

const rounds = 3
const repository = fileURLToPath(new URL('../..', import.meta.url))

/** The environment of a stranger: nothing of this run's npm, nothing of a Waymark that is set up. */
const strangersEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env)
      .filter(([name]) => !/^(npm_|WAYMARK_|ENVOY_BIN$|DATABASE_URL$|INIT_CWD$|NODE)/.test(name))
      .map(([name, value]) => [
        name,
        // npm put the programs of this clone in front.
        name === 'PATH'
          ? value
              ?.split(':')
              .filter(part => !part.includes('node_modules'))
              .join(':')
          : value,
      ]),
  )

/** Seconds from `npm run up` to the line that says that it is ready; stops it then. */
const secondsToReady = async (clone: string, env: NodeJS.ProcessEnv): Promise<number> => {
  const started = performance.now()
  const child = spawn('npm', ['run', 'up'], {
    cwd: clone,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const ended = once(child, 'exit')
  const said: string[] = []
  child.stderr.setEncoding('utf8').on('data', (text: string) => said.push(text))
  let seconds: number | null = null
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(`${line}\n`)
    if (!/^\s*ready in /.test(line)) continue
    seconds = (performance.now() - started) / 1_000
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGINT')
  }
  await ended
  if (seconds === null) throw new Error(`npm run up did not get ready:\n${said.slice(-20).join('')}`)
  return seconds
}

/** A fresh clone to its first request through the mesh: nothing cached, packages cached, and the second start. */
export const up = async (): Promise<string> => {
  const results: { cold: number; cached: number; warm: number }[] = []
  for (let round = 0; round < rounds; round += 1) {
    const directory = await mkdtemp(join(tmpdir(), 'waymark-up-'))
    const env = {
      ...strangersEnvironment(),
      npm_config_cache: join(directory, 'npm'),
      XDG_CACHE_HOME: join(directory, 'cache'),
      PIP_NO_CACHE_DIR: '1',
    }
    const clone = async (name: string): Promise<string> => {
      const target = join(directory, name)
      const { code, stderr } = await runCommand({
        command: 'git',
        args: ['clone', '--quiet', '--no-hardlinks', repository, target],
      })
      if (code !== 0) throw new Error(`git clone failed: ${stderr}`)
      return target
    }
    try {
      const first = await clone('first')
      const cold = await secondsToReady(first, env)
      const warm = await secondsToReady(first, env)
      const cached = await secondsToReady(await clone('second'), env)
      results.push({ cold, cached, warm })
      console.log(
        `  round ${round + 1}: cold ${cold.toFixed(1)} s, cached ${cached.toFixed(1)} s, warm ${warm.toFixed(1)} s`,
      )
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  }
  const base = median(results.map(({ warm }) => warm))
  const row = (what: string, values: readonly number[]): string[] => [
    what,
    `${figure(median(values))} s`,
    `${(median(values) / base).toFixed(2)}x`,
  ]
  return renderRows(
    ['npm run up to ready', `median of ${rounds}`, 'to warm'],
    [
      row(
        'fresh clone, nothing cached (npm, Envoy, database)',
        results.map(({ cold }) => cold),
      ),
      row(
        'fresh clone, packages and Envoy in their caches',
        results.map(({ cached }) => cached),
      ),
      row(
        'warm: started before in this clone',
        results.map(({ warm }) => warm),
      ),
    ],
  )
}
