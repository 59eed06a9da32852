import { parseDuration } from '@waymark/sidecar-config/model/duration.ts'
import { Command } from 'commander'
import type { SidecarDetailView, SidecarListView, SidecarView } from '../../rest/schemas/sidecar.ts'
import type { CommandContext, Run } from '../command-context.ts'
import { CliError, exitCodes, type ExitCode } from '../exit-code.ts'
import { isFinding, judgeSidecar } from '../sidecar-state.ts'
import { ago, shortType, table } from '../table.ts'

interface SyncOptions {
  readonly wait?: string
}

const pollMs = 250

const nackLines = (sidecar: SidecarView, at: string): string[] =>
  sidecar.nacks.map(
    ({ typeUrl, names, message, at: when }) =>
      `  ${sidecar.node} refused ${shortType(typeUrl)} ${names.join(', ')} ${ago(when, at)} ago: ${message}`,
  )

const stateCell = (sidecar: SidecarView, at: string): string => {
  const { state, words } = judgeSidecar(sidecar, at)
  return `${isFinding(state) ? state.toUpperCase() : state}${words === '' ? '' : `: ${words}`}`
}

export const syncText = ({ revision, at, sidecars }: SidecarListView): string => {
  const synced = sidecars.filter(sidecar => judgeSidecar(sidecar, at).state === 'in sync').length
  return [
    `revision ${revision}; ${synced} of ${sidecars.length} sidecars in sync`,
    '',
    table(
      ['sidecar', 'acked', 'connected', 'replica', 'state'],
      sidecars.map(sidecar => [
        sidecar.node,
        `${sidecar.syncedRevision}`,
        ago(sidecar.connectedAt, at),
        sidecar.replica,
        stateCell(sidecar, at),
      ]),
      'no sidecar is connected',
    ),
    ...sidecars.flatMap(sidecar => nackLines(sidecar, at)).map((line, n) => (n === 0 ? `\n${line}` : line)),
  ].join('\n')
}

export const sidecarText = (sidecar: SidecarDetailView): string => {
  const { at, revision, resources } = sidecar
  return [
    `${sidecar.node} (${sidecar.agent}) on replica ${sidecar.replica}, connected ${ago(sidecar.connectedAt, at)}`,
    `${stateCell(sidecar, at)}; ACKed up to revision ${sidecar.syncedRevision} of ${revision}`,
    ...nackLines(sidecar, at),
    '',
    table(
      ['type', 'subscribed', 'sent', 'acked', 'waiting', 'unanswered for'],
      sidecar.types.map(({ typeUrl, wildcard, subscribed, sent, acked, waiting, unansweredSince }) => [
        shortType(typeUrl),
        [wildcard ? '*' : '', subscribed > 0 ? `${subscribed}` : '']
          .filter(part => part !== '')
          .join(' and '),
        `${sent}`,
        `${acked}`,
        `${waiting}`,
        unansweredSince === null ? '' : ago(unansweredSince, at),
      ]),
    ),
    '',
    resources === null
      ? `The resources are known to replica ${sidecar.replica} only: ask its API.`
      : table(
          ['resource', 'name', 'revision', 'sent', 'acked', 'refused'],
          resources.map(({ typeUrl, name, revision: changed, sentVersion, ackedVersion, nack }) => [
            shortType(typeUrl),
            name,
            changed === null ? '' : `${changed}`,
            sentVersion ?? '',
            ackedVersion === sentVersion ? 'same' : (ackedVersion ?? ''),
            nack === null ? '' : nack.message,
          ]),
        ),
  ].join('\n')
}

const findingCode = (sidecars: readonly SidecarView[], at: string, waited: boolean): ExitCode => {
  const bad = sidecars.some(sidecar => {
    const { state } = judgeSidecar(sidecar, at)
    return isFinding(state) || (waited && state !== 'in sync')
  })
  return bad ? exitCodes.finding : exitCodes.ok
}

/** Asks again until nobody is merely behind, or the time is over. */
const settle = async <T>(
  ask: () => Promise<T>,
  sidecarsOf: (answer: T) => { readonly sidecars: readonly SidecarView[]; readonly at: string },
  { terminal }: CommandContext,
  waitMs: number,
): Promise<T> => {
  const end = terminal.clock.monotonic() + waitMs
  for (;;) {
    const answer = await ask()
    const { sidecars, at } = sidecarsOf(answer)
    const behind = sidecars.some(sidecar => judgeSidecar(sidecar, at).state === 'behind')
    if (!behind || terminal.clock.monotonic() >= end) return answer
    await terminal.clock.sleep(pollMs)
  }
}

const waitMsOf = ({ wait }: SyncOptions): number => {
  if (wait === undefined) return 0
  const ms = parseDuration(wait)
  if (ms === undefined) throw new CliError(exitCodes.usage, `"${wait}" is no duration, such as 30s`)
  return ms
}

/** `waymark sync [NODE]`: exit code 1 for what stands out, with `--wait` also for who is still behind. */
export const syncCommand = (run: Run): Command => {
  const command = new Command('sync')
    .description('which sidecar has ACKed which revision, what it refused and why')
    .argument('[node]', 'one sidecar, by its node id: SERVICE/INSTANCE')
    .option('--wait <duration>', 'wait this long for sidecars that are behind, such as 30s')
  return command.action((node: string | undefined, options: SyncOptions) =>
    run(command, async context => {
      const waitMs = waitMsOf(options)
      const waited = options.wait !== undefined
      if (node === undefined) {
        const list = await settle(
          () => context.api.get<SidecarListView>('/sidecars'),
          answer => answer,
          context,
          waitMs,
        )
        context.print(list, () => syncText(list))
        return findingCode(list.sidecars, list.at, waited)
      }
      const one = await settle(
        () => context.api.get<SidecarDetailView>(`/sidecars/${encodeURIComponent(node)}`),
        answer => ({ sidecars: [answer], at: answer.at }),
        context,
        waitMs,
      )
      context.print(one, () => sidecarText(one))
      return findingCode([one], one.at, waited)
    }),
  )
}
