import { Command } from 'commander'
import type { ParkedListView, ReplayedView, SinkListView, SinkView } from '../../rest/schemas/sink.ts'
import type { Run } from '../command-context.ts'
import { CliError, exitCodes } from '../exit-code.ts'
import { table } from '../table.ts'

const seconds = (ms: number): string =>
  ms < 1_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`

/** One word for how it goes. */
const condition = ({ paused, error, parked, lag, compacted, orphaned }: SinkView): string => {
  if (orphaned) return 'ORPHANED'
  if (compacted) return 'COMPACTED'
  if (paused !== null) return 'PAUSED'
  if (error !== null) return 'FAILING'
  if (parked > 0) return 'PARKED'
  return lag === 0 ? 'current' : 'behind'
}

/** What somebody should look at. */
const needsCare = ({ error, parked, compacted, orphaned }: SinkView): boolean =>
  error !== null || parked > 0 || compacted || orphaned

export const sinksText = ({ sinks }: SinkListView): string =>
  table(
    ['sink', 'kind', 'is', 'delivered', 'behind', 'for', 'parked', 'owner', 'error'],
    sinks.map(sink => [
      sink.sink,
      sink.kind,
      condition(sink),
      `${sink.revision}`,
      `${sink.lag}`,
      sink.lag === 0 ? '-' : seconds(sink.lagMs),
      `${sink.parked}`,
      sink.owner ?? '-',
      sink.error ?? '',
    ]),
    'no sinks: apply a document of kind EventSink',
  )

export const sinkText = (sink: SinkView, { parked }: ParkedListView): string =>
  [
    `${sink.sink} (${sink.kind}, from the ${sink.origin}) is ${condition(sink)}: delivered up to revision ` +
      `${sink.revision} of ${sink.head}, ${sink.parked} parked, ` +
      (sink.owner === null ? 'nobody delivers' : `delivered by ${sink.owner}`),
    ...(sink.paused === null ? [] : [`paused since ${sink.paused.since} by ${sink.paused.by}`]),
    ...(sink.orphaned
      ? [
          'no replica has it in its configuration any more: end it with --forget, or it holds the log for a while',
        ]
      : []),
    ...(sink.compacted ? ['the log no longer has what comes next: the sink will miss changes'] : []),
    ...(sink.gap === null
      ? []
      : [
          `missed revisions ${sink.gap.deliveredTo + 1} to ${sink.gap.resumesAfter} (${sink.gap.reason}, ${sink.gap.at})`,
        ]),
    ...(sink.error === null ? [] : [`error: ${sink.error}`]),
    ...(parked.length === 0
      ? []
      : [
          '',
          table(
            ['parked', 'revision', 'of', 'attempts', 'since', 'error'],
            parked.map(({ id, revision, aggregateType, aggregateId, attempts, parkedAt, error }) => [
              id,
              `${revision}`,
              `${aggregateType}/${aggregateId}`,
              `${attempts}`,
              parkedAt,
              error,
            ]),
            '',
          ),
        ]),
  ].join('\n')

interface Wish {
  readonly replay?: string
  readonly pause?: boolean
  readonly resume?: boolean
  readonly retry?: boolean
  readonly drop?: string
  readonly forget?: boolean
  readonly by?: string
}

const shownParked = 50

const parseFrom = (text: string): number | 'oldest' => {
  if (text === 'oldest') return text
  if (/^[1-9][0-9]{0,14}$/.test(text)) return Number(text)
  throw new CliError(exitCodes.usage, `"${text}" is no revision; write a number from 1 on, or oldest`)
}

/** `waymark sinks [SINK] [--pause | --resume | --replay REVISION | --retry | --drop ID | --forget]`. Exit code 1: one does not go on. */
export const sinksCommand = (run: Run): Command => {
  const command = new Command('sinks')
    .description('where changes are published, and how far each sink is')
    .argument('[sink]', 'one sink, with its parked events')
    .option('--pause', 'deliver nothing until it is resumed')
    .option('--resume', 'go on')
    .option(
      '--replay <revision>',
      'deliver everything from this revision on again; oldest: all that the log has',
    )
    .option('--retry', 'try its parked events now')
    .option('--drop <id>', 'give a parked event up, or all of instance/SERVICE/ID or document/KIND/NAME')
    .option('--forget', 'end a sink that no replica has in its configuration any more')
    .option('--by <name>', 'who pauses it')
  return command.action((name: string | undefined, wish: Wish) =>
    run(command, async ({ api, print }) => {
      const wishes = Object.keys(wish).filter(key =>
        ['pause', 'resume', 'replay', 'retry', 'drop', 'forget'].includes(key),
      )
      if (wishes.length > 1) throw new CliError(exitCodes.usage, `only one of: --${wishes.join(', --')}`)
      if (name === undefined) {
        if (wishes.length > 0)
          throw new CliError(exitCodes.usage, `--${wishes[0] ?? ''} needs the name of a sink`)
        const list = await api.get<SinkListView>('/sinks')
        print(list, () => sinksText(list))
        return list.sinks.some(needsCare) ? exitCodes.finding : exitCodes.ok
      }
      const path = `/sinks/${encodeURIComponent(name)}`
      const actor = wish.by === undefined ? {} : { actor: wish.by }
      if (wish.replay !== undefined) {
        const body = { from: parseFrom(wish.replay) }
        const { body: replayed } = await api.send<ReplayedView>('POST', `${path}/replay`, { body, ...actor })
        print(replayed, () => `${name} is given everything from revision ${replayed.from} on again`)
        return exitCodes.ok
      }
      if (wish.pause === true) await api.send('POST', `${path}/pause`, actor)
      if (wish.resume === true) await api.send('POST', `${path}/resume`, actor)
      if (wish.retry === true) await api.send('POST', `${path}/parked/retry`, actor)
      if (wish.drop !== undefined) {
        const of = encodeURIComponent(wish.drop)
        await api.send('DELETE', `${path}/parked${wish.drop.includes('/') ? '?aggregate=' : '/'}${of}`, actor)
      }
      if (wish.forget === true) {
        await api.send('DELETE', path, actor)
        print({ forgotten: name }, () => `${name} is forgotten`)
        return exitCodes.ok
      }
      const sink = await api.get<SinkView>(path)
      const parked = await api.get<ParkedListView>(`${path}/parked?limit=${shownParked}`)
      print({ ...sink, parkedEvents: parked.parked }, () => sinkText(sink, parked))
      return wishes.length === 0 && needsCare(sink) ? exitCodes.finding : exitCodes.ok
    }),
  )
}
