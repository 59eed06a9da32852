// npm run up: a whole mesh on this machine. See arguments.ts for its options.
import { setTimeout as delay } from 'node:timers/promises'
import { parseUpArguments, usage, type UpArguments } from './arguments.ts'
import { KeepRunning } from './keep-running.ts'
import { Load } from './load.ts'
import { Observer } from './observe.ts'
import { createScreen, type Screen } from './screen.ts'
import { runSmoke } from './smoke.ts'
import { Stack } from './stack.ts'
import { describeChanges, plainPaint, renderTable, terminalPaint, type Snapshot } from './table.ts'

const trafficPerSecond = 20

/** What to type next; the pids are those of the moment. */
const tryLines = ({ controlPlane, mesh }: Stack): string[] => {
  const api = `  curl '${controlPlane.url}/api/v1/services/payments/instances?health=healthy'`
  const [web] = mesh?.of('web') ?? []
  const victim = mesh?.of('payments').findLast(({ pids }) => pids.length === 2)
  if (web === undefined) return [`  curl ${controlPlane.url}/api/v1/services`]
  return [
    `  curl ${web.url}`,
    victim === undefined ? '  (no payments instance runs)' : `  kill -9 ${victim.pids.join(' ')}`,
    api,
  ]
}

const tryText = (stack: Stack): string[] =>
  stack.mesh === null
    ? ['Try: who is registered?', ...tryLines(stack)]
    : [
        'Try: a request through web, orders and payments; kill a payments instance; ask who is healthy',
        ...tryLines(stack),
      ]

interface Run {
  readonly args: UpArguments
  readonly screen: Screen
  readonly signal: AbortSignal
  readonly stack: Stack
  readonly keep: KeepRunning
  /** Processes that ended by themselves, when nobody starts them again. */
  readonly unexpectedEnds: readonly string[]
}

const watch = async ({ stack, screen, keep, signal }: Run): Promise<void> => {
  const observer = new Observer({ controlPlane: stack.controlPlane, mesh: stack.mesh })
  let before: Snapshot | null = null
  if (!screen.live) for (const line of tryText(stack)) screen.line(line)
  while (!signal.aborted) {
    const now = await observer.look()
    if (screen.live) {
      const paint = terminalPaint
      screen.draw([
        '',
        ...renderTable(now, paint),
        ...keep.waiting.map(text => paint('yellow', text)),
        '',
        ...tryText(stack),
        paint('dim', `Ctrl-C stops everything. Logs: ${stack.dataDir}/logs`),
      ])
    } else if (before === null) for (const line of renderTable(now, plainPaint)) screen.line(line)
    else for (const line of describeChanges(before, now)) screen.line(line)
    before = now
    await delay(1_000, undefined, { signal }).catch(() => undefined)
  }
}

/** The exit code. */
const work = async (run: Run): Promise<number> => {
  const { args, screen, signal, stack, unexpectedEnds } = run
  const began = performance.now()
  await stack.start()
  screen.line(`  ready in ${((performance.now() - began) / 1_000).toFixed(1)} s`)
  if (args.smoke) return (await runSmoke({ stack, screen, signal, unexpectedEnds })) ? 0 : 1
  const targets = stack.mesh?.of('web').map(({ url }) => new URL(url)) ?? []
  const load = args.samples && args.traffic ? new Load({ targets, perSecond: trafficPerSecond }) : null
  load?.start()
  await watch(run)
  await load?.stop()
  return 0
}

const main = async (screen: Screen): Promise<number> => {
  const args = parseUpArguments(process.argv.slice(2))
  if (args.help) {
    screen.line(usage)
    return 0
  }
  const ending = new AbortController()
  const { signal } = ending
  const unexpectedEnds: string[] = []
  const keep: KeepRunning = new KeepRunning({ stack: () => stack, screen, signal })
  const stack: Stack = new Stack({
    env: process.env,
    samples: args.samples,
    screen,
    signal,
    onUnexpectedEnd: name => {
      if (args.smoke) unexpectedEnds.push(name)
      else keep.ended(name)
    },
  })
  let toldAt = -Infinity
  const onSignal = (name: NodeJS.Signals): void => {
    const again = signal.aborted && performance.now() - toldAt > 500
    if (again) {
      screen.close()
      stack.killNow()
      process.exit(130)
    }
    if (signal.aborted) return // one key press, told twice
    toldAt = performance.now()
    ending.abort(new Error(`ended by ${name}`))
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal)
  // Under npm: the launcher was killed, and nobody is left who would end this process.
  const parent = process.ppid
  setInterval(() => {
    if (process.env['npm_lifecycle_event'] !== undefined && process.ppid !== parent && !signal.aborted)
      onSignal('SIGTERM')
  }, 500).unref()
  let code = 1
  try {
    code = await work({ args, screen, signal, stack, keep, unexpectedEnds })
  } catch (error) {
    if (signal.aborted) code = 130
    else screen.fail(error)
  }
  ending.abort(new Error('the run is over'))
  screen.close()
  await screen.step(
    'stopping everything',
    () => stack.stop(),
    () => 'everything has been stopped',
  )
  return code
}

const screen = createScreen()
try {
  process.exitCode = await main(screen)
} catch (error) {
  screen.fail(error)
  process.exitCode = 1
}
screen.close()
