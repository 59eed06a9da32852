import { parseDuration } from '@waymark/sidecar-config/model/duration.ts'
import { Command } from 'commander'
import type { SidecarDetailView, SidecarListView, SidecarView } from '../../rest/schemas/sidecar.ts'
import type { Run } from '../command-context.ts'
import { CliError, exitCodes, type ExitCode } from '../exit-code.ts'
import { syncDiff } from './sync-diff.ts'
import { paintFor, type Colour } from '../paint.ts'
import { settle, type Outlook } from '../settle.ts'
import { shortType } from '../../domain/short-type.ts'
import { ago, printable, table } from '../table.ts'
import type { Terminal } from '../terminal.ts'
import { wrap } from '../wrap.ts'

interface SyncOptions {
  readonly wait?: string
  readonly diff?: boolean
  readonly admin?: string
  readonly state?: string
  readonly service?: string
  readonly replica?: string
  readonly limit?: string
}

const colours: Readonly<Record<SidecarView['state'], Colour>> = {
  rejected: 'red',
  stuck: 'red',
  stale: 'red',
  disconnected: 'yellow',
  pending: 'yellow',
  'in-sync': 'green',
}

/** These need somebody; `pending` resolves itself or becomes `stuck`, and who leaves has its reasons. */
const isFinding = ({ state, duplicate }: SidecarView): boolean =>
  duplicate || state === 'rejected' || state === 'stuck' || state === 'stale'

const stateCell = (sidecar: SidecarView): string =>
  `${isFinding(sidecar) ? sidecar.state.toUpperCase() : sidecar.state}${sidecar.duplicate ? ', DUPLICATE' : ''}`

/** What stands out about a sidecar, line by line, in the words of whoever knows. */
const findings = (sidecar: SidecarView, at: string, { width }: Terminal): string[] => {
  const { node, state, since, replica, nacks, rivals, address, types } = sidecar
  const lines = nacks.map(
    ({ typeUrl, names, message, at: when }) =>
      `${node} refused ${shortType(typeUrl)} ${names.join(', ')} ${ago(when, at)} ago: ${message}`,
  )
  if (state === 'stale')
    lines.push(`${node}: nothing heard of it from replica ${replica} for ${ago(since, at)}`)
  if (state === 'stuck') {
    const silent = types.filter(({ unansweredSince }) => unansweredSince !== null)
    const what = silent.map(({ typeUrl }) => shortType(typeUrl)).join(', ')
    lines.push(`${node} has not answered ${what} for ${ago(since, at)}`)
  }
  if (rivals.length > 0) {
    const others = rivals.map(rival => `${rival.address} at ${rival.replica}`).join(', ')
    lines.push(`${node} is the name of several Envoys: ${address} at ${replica}, ${others}`)
  }
  return lines.map(line => wrap(`  ${printable(line)}`, { width, indent: '    ' }))
}

export const syncText = (list: SidecarListView, terminal: Terminal): string => {
  const { revision, at, states, sidecars, missing, next } = list
  const paint = paintFor(terminal)
  const total = Object.values(states).reduce((sum, count) => sum + count, 0)
  const others = Object.entries(states).filter(([state, count]) => state !== 'in-sync' && count > 0)
  const words = sidecars.flatMap(sidecar => findings(sidecar, at, terminal))
  return [
    [
      `revision ${revision}; ${states['in-sync']} of ${total} sidecars in sync`,
      ...others.map(([state, count]) => `${count} ${state}`),
    ].join(', '),
    ...(missing.length === 0
      ? []
      : [
          paint(
            'red',
            `nothing can be told of the sidecars of ${missing.join(', ')}: the database cannot be asked`,
          ),
        ]),
    '',
    table(
      ['sidecar', 'state', 'for', 'acked', 'connected', 'replica'],
      sidecars.map(sidecar => [
        sidecar.node,
        stateCell(sidecar),
        ago(sidecar.since, at),
        `${sidecar.syncedRevision}`,
        sidecar.disconnectedAt === null ? ago(sidecar.connectedAt, at) : '',
        sidecar.replica,
      ]),
      'no sidecar is connected',
      {
        paint: (text, { row, column }) => {
          const sidecar = sidecars[row]
          return column === 1 && sidecar !== undefined ? paint(colours[sidecar.state], text) : text
        },
      },
    ),
    ...(next === null
      ? []
      : ['', 'There are more: narrow it with --state, --service or --replica, or raise --limit.']),
    ...(words.length === 0 ? [] : ['', ...words]),
  ].join('\n')
}

export const sidecarText = (sidecar: SidecarDetailView, terminal: Terminal): string => {
  const { at, revision, resources, state, since, address, disconnectedAt } = sidecar
  const connection =
    disconnectedAt === null
      ? `connected ${ago(sidecar.connectedAt, at)}`
      : `disconnected ${ago(disconnectedAt, at)} ago`
  return [
    `${sidecar.node} (${sidecar.agent}, ${address}) on replica ${sidecar.replica}, ${connection}`,
    `${paintFor(terminal)(colours[state], stateCell(sidecar))} for ${ago(since, at)}; ` +
      `ACKed up to revision ${sidecar.syncedRevision} of ${revision}`,
    ...findings(sidecar, at, terminal),
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
      ? `The resources are known to replica ${sidecar.replica} only, which cannot be asked.`
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

const findingCode = (
  sidecars: readonly SidecarView[],
  missing: readonly string[],
  waited: boolean,
): ExitCode => {
  const bad = sidecars.some(sidecar => isFinding(sidecar) || (waited && sidecar.state === 'pending'))
  return bad || missing.length > 0 ? exitCodes.finding : exitCodes.ok
}

/** Findings are in what other replicas said a second ago, so that they may be mended by now. */
const outlookOf = (sidecars: readonly SidecarView[]): Outlook => {
  if (sidecars.some(({ state }) => state === 'pending')) return 'pending'
  return sidecars.some(isFinding) ? 'finding' : 'settled'
}

const queryOf = ({ state, service, replica, limit }: SyncOptions): string => {
  const pairs = Object.entries({ state, service, replica, limit }).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
  )
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
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
    .option('--diff', 'compare what the sidecar should have with its own config dump')
    .option('--admin <url>', "the sidecar's admin listener, for --diff (default http://127.0.0.1:15000)")
    .option(
      '--state <states>',
      'only these, joined by commas: rejected, stuck, stale, disconnected, pending, in-sync',
    )
    .option('--service <service>', 'only the sidecars of a service')
    .option('--replica <replica>', 'only those that a replica serves')
    .option('--limit <count>', 'how many at most, worst first (default 500)')
  return command.action((node: string | undefined, options: SyncOptions) =>
    run(command, async context => {
      const waitMs = waitMsOf(options)
      const waited = options.wait !== undefined
      const { clock } = context.terminal
      if (options.diff === true) return syncDiff(context, node, { admin: options.admin, waitMs })
      if (node === undefined) {
        const list = await settle({
          ask: () => context.api.get<SidecarListView>(`/sidecars${queryOf(options)}`),
          outlook: ({ sidecars }) => outlookOf(sidecars),
          clock,
          waitMs,
        })
        context.print(list, () => syncText(list, context.terminal))
        return findingCode(list.sidecars, list.missing, waited)
      }
      const one = await settle({
        ask: () => context.api.get<SidecarDetailView>(`/sidecars/${encodeURIComponent(node)}`),
        outlook: sidecar => outlookOf([sidecar]),
        clock,
        waitMs,
      })
      context.print(one, () => sidecarText(one, context.terminal))
      return findingCode([one], [], waited)
    }),
  )
}
