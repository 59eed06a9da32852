import { Command } from 'commander'
import type { ChangePageView, ChangeSetView, ChangeView } from '../../rest/schemas/change.ts'
import { ApiRefusedError, type ApiClient } from '../api-client.ts'
import { parseServiceName, type CommonOptions, type Run } from '../command-context.ts'
import { CliError, exitCodes } from '../exit-code.ts'
import { readEvents, type ServerEvent } from '../read-events.ts'
import { printable, table } from '../table.ts'

/** Before another attempt to reach the API. */
const retryMs = 1_000

const verdictOf = (state: ChangeView['before']): string =>
  state !== null && 'verdict' in state ? state.verdict : '-'

/** What became of it, as far as a line can tell. */
const outcome = ({ before, after, type }: ChangeView): string => {
  if (type === 'document.applied') return before === null ? 'new' : 'changed'
  if (after === null) return 'gone'
  const [was, is] = [verdictOf(before), verdictOf(after)]
  return was === is ? is : `${was} -> ${is}`
}

const cells = (change: ChangeView): string[] => [
  `${change.revision}`,
  change.occurredAt,
  change.type,
  change.aggregateId,
  outcome(change),
  change.actor,
]

export const changesText = (sets: readonly ChangeSetView[]): string =>
  table(
    ['revision', 'time', 'change', 'of', 'now', 'by'],
    sets.flatMap(({ changes }) => changes.map(cells)),
    'no changes',
  )

const count = (text: string): number => {
  const number = /^[0-9]{1,4}$/.test(text) ? Number(text) : 0
  if (number >= 1 && number <= 1_000) return number
  throw new CliError(exitCodes.usage, `"${text}" is no number from 1 to 1000`)
}

const revision = (text: string): number => {
  if (/^[0-9]{1,15}$/.test(text)) return Number(text)
  throw new CliError(exitCodes.usage, `"${text}" is no revision: a number from 0 on`)
}

/** `waymark changes`. */
export const changesCommand = (run: Run): Command => {
  const command = new Command('changes')
    .description('the log: the last changes, or those after a revision')
    .option('--after <revision>', 'begin after this revision', revision)
    .option('--limit <count>', 'revisions to show', count, 20)
  return command.action(({ after, limit }: { readonly after?: number; readonly limit: number }) =>
    run(command, async ({ api, print }) => {
      const path = (from: number): string => `/changes?after=${from}&limit=${limit}`
      const head = async (): Promise<number> =>
        (await api.send('GET', '/services?limit=1&fields=name')).revision
      const from = after ?? Math.max(0, (await head()) - limit)
      const page = await api.get<ChangePageView>(path(from))
      print(page, () => changesText(page.sets))
      return exitCodes.ok
    }),
  )
}

interface WatchOptions {
  readonly from?: number
  readonly kinds?: string
  readonly limit?: number
}

/**
 * Events one after the other, over connections that break and replicas that end. Rejects with what the API refuses, and
 * when it cannot be reached to begin with.
 */
async function* follow(
  api: ApiClient,
  path: string,
  sleep: (ms: number) => Promise<void>,
): AsyncGenerator<ServerEvent> {
  let lastId = ''
  for (let connected = false; ;) {
    try {
      const body = await api.open(path, lastId === '' ? {} : { 'last-event-id': lastId })
      connected = true
      for await (const event of readEvents(body)) {
        if (event.id !== '') lastId = event.id
        yield event
      }
    } catch (error) {
      const passing = !(error instanceof ApiRefusedError) || error.problem.status === 503
      if (!connected || !passing) throw error
    }
    await sleep(retryMs)
  }
}

/** `waymark watch`. */
export const watchCommand = (run: Run): Command => {
  const command = new Command('watch')
    .description('changes as they happen, of all services or of some')
    .argument('[services...]')
    .option('--from <revision>', 'begin after this revision', revision)
    .option('--kinds <kinds>', 'only these, such as instance.health,document')
    .option('--limit <count>', 'end after so many revisions', count)
  return command.action((services: readonly string[], { from, kinds, limit }: WatchOptions) =>
    run(command, async ({ api, terminal }) => {
      const { json } = command.optsWithGlobals<CommonOptions>()
      const query = new URLSearchParams()
      if (services.length > 0) query.set('services', services.map(parseServiceName).join(','))
      if (kinds !== undefined) query.set('kinds', kinds)
      if (from !== undefined) query.set('from', `${from}`)
      let seen = 0
      for await (const { event, data } of follow(api, `/watch?${query.toString()}`, ms =>
        terminal.clock.sleep(ms),
      )) {
        if (event === 'compacted') {
          throw new CliError(exitCodes.refused, 'the log no longer reaches back that far: watch anew')
        }
        if (event !== 'change') continue
        // Events are what the API's schemas say.
        const set = JSON.parse(data) as ChangeSetView
        if (json === true) terminal.out(data)
        else for (const change of set.changes) terminal.out(cells(change).map(printable).join('  '))
        seen += 1
        if (seen === limit) break
      }
      return exitCodes.ok
    }),
  )
}
