import { Command } from 'commander'
import type { StatusView } from '../../rest/schemas/status.ts'
import type { Run } from '../command-context.ts'
import { exitCodes } from '../exit-code.ts'
import { ago, table } from '../table.ts'

const preservation = ({ selfPreservation: state, at }: StatusView): string[] => {
  if (state?.active !== true) return []
  const since = state.since === null ? '' : ` for ${ago(state.since, at)}`
  return [`\nExpiry is paused${since}: ${state.due} of ${state.leased} leases would expire at once.`]
}

export const statusText = (status: StatusView): string => {
  const { at, revision, head, lag } = status
  const position =
    head === null || lag === null
      ? `revision ${revision}, the database cannot be asked`
      : `revision ${revision}${lag === 0 ? '' : `, ${lag} behind the log`}`
  return [
    `replica ${status.replica}, up ${ago(status.startedAt, at)}, ${status.ready ? 'ready' : 'NOT READY'}, ${position}, ` +
      `${status.streams} sidecar${status.streams === 1 ? '' : 's'} connected here`,
    '',
    table(
      ['capability', 'mode', 'for', 'evidence', 'ends when'],
      status.modes.map(({ capability, mode, since, evidence, endsWhen }) => [
        capability,
        mode === 'target' ? mode : mode.toUpperCase(),
        ago(since, at),
        evidence,
        endsWhen ?? '',
      ]),
      'no modes are known yet',
    ),
    ...preservation(status),
    '',
    status.replicas === null
      ? 'replicas: unknown while the database cannot be asked'
      : table(
          ['replica', 'http', 'xds', 'up', 'seen'],
          status.replicas.map(({ id, http, xds, startedAt, seenAt }) => [
            id,
            http,
            xds,
            ago(startedAt, at),
            `${ago(seenAt, at)} ago`,
          ]),
          'no replica has reported yet',
        ),
    ...(status.sinks === null || status.sinks.length === 0
      ? []
      : [
          '',
          table(
            ['sink', 'revision', 'lag', 'parked', 'error'],
            status.sinks.map(({ sink, revision: delivered, lag: behind, parked, error }) => [
              sink,
              `${delivered}`,
              `${behind}`,
              `${parked}`,
              error ?? '',
            ]),
          ),
        ]),
  ].join('\n')
}

/** `waymark status`: exit code 1 when a capability is not in `target`. */
export const statusCommand = (run: Run): Command => {
  const command = new Command('status').description('modes with their evidence, replicas, sinks')
  return command.action(() =>
    run(command, async ({ api, print }) => {
      const status = await api.get<StatusView>('/status')
      print(status, () => statusText(status))
      const asPlanned = status.ready && status.modes.every(({ mode }) => mode === 'target')
      return asPlanned ? exitCodes.ok : exitCodes.finding
    }),
  )
}
