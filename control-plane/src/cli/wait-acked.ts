import { formatDuration, parseDuration } from '@waymark/sidecar-config/model/duration.ts'
import type { Command } from 'commander'
import type { RevisionSidecarsView } from '../rest/schemas/revision-sidecars.ts'
import type { CommandContext } from './command-context.ts'
import { CliError, exitCodes, type ExitCode } from './exit-code.ts'
import { paintFor } from './paint.ts'
import { shortType } from '../domain/short-type.ts'
import { printable } from './table.ts'
import { wrap } from './wrap.ts'

/** `--wait` and `--timeout` of a command that writes. */
export interface WaitOptions {
  readonly wait?: true | string
  readonly timeout?: string
}

const defaultTimeoutMs = 30_000
/** One request of a wait; between two of them progress is shown. */
const sliceMs = 1_000

export const addWaitOptions = (command: Command): Command =>
  command
    .option('--wait [acked]', 'wait until every sidecar that it touches has ACKed it')
    .option('--timeout <duration>', `how long --wait waits (default ${formatDuration(defaultTimeoutMs)})`)

/** How long to wait (ms); null: not at all. Throws CliError. */
export const parseWait = ({ wait, timeout }: WaitOptions): number | null => {
  if (wait === undefined) {
    if (timeout === undefined) return null
    throw new CliError(exitCodes.usage, '--timeout needs --wait')
  }
  if (wait !== true && wait !== 'acked') {
    throw new CliError(exitCodes.usage, `"${wait}" cannot be waited for; write --wait or --wait=acked`)
  }
  if (timeout === undefined) return defaultTimeoutMs
  const ms = parseDuration(timeout)
  if (ms === undefined) throw new CliError(exitCodes.usage, `"${timeout}" is no duration, such as 30s`)
  return ms
}

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`

const progressText = ({
  revision,
  touched,
  acked,
  nacked,
  pending,
  replicas,
}: RevisionSidecarsView): string => {
  const open = replicas.filter(({ state }) => state === 'ahead' || state === 'silent').length
  return [
    `revision ${revision}: ${acked} of ${plural(touched, 'sidecar')} ACKed`,
    ...(nacked > 0 ? [`${nacked} refused`] : []),
    ...(pending > 0 ? [`${pending} pending`] : []),
    ...(open > 0 ? [`${plural(open, 'replica')} not heard yet`] : []),
  ].join(', ')
}

/** Waits for all of the time that is left until `endAt` (monotonic), and shows progress when it changes. */
const waitFor = async (
  { api, terminal }: CommandContext,
  revision: number,
  endAt: number,
): Promise<RevisionSidecarsView> => {
  let shown = ''
  for (;;) {
    const left = Math.max(0, Math.round(endAt - terminal.clock.monotonic()))
    const slice = formatDuration(Math.min(sliceMs, left))
    const view = await api.get<RevisionSidecarsView>(
      `/revisions/${revision}/sidecars?wait=acked&timeout=${slice}`,
    )
    if (view.complete || terminal.clock.monotonic() >= endAt) return view
    const text = progressText(view)
    if (text !== shown) terminal.err(text)
    shown = text
  }
}

/** Waits for each revision in turn, for `timeoutMs` in all. */
export const waitAcked = async (
  context: CommandContext,
  revisions: readonly number[],
  timeoutMs: number,
): Promise<RevisionSidecarsView[]> => {
  const endAt = context.terminal.clock.monotonic() + timeoutMs
  const views: RevisionSidecarsView[] = []
  for (const revision of new Set(revisions)) views.push(await waitFor(context, revision, endAt))
  return views
}

/** A sidecar refused it, or the time was over. */
export const waitedCode = (views: readonly RevisionSidecarsView[]): ExitCode =>
  views.some(({ complete, nacked }) => !complete || nacked > 0) ? exitCodes.finding : exitCodes.ok

/** What became of a revision, for people: the sum, then who stands out and why. */
export const waitedText = (
  view: RevisionSidecarsView,
  { terminal }: Pick<CommandContext, 'terminal'>,
): string => {
  const paint = paintFor(terminal)
  const { touched, pending, disconnected, nacks, nacked, waiting, gone, replicas, complete } = view
  const lines: string[] = []
  const good = complete && nacked === 0
  const sum =
    touched === 0 && complete
      ? `revision ${view.revision} touches no sidecar`
      : progressText(view) + (disconnected > 0 ? `, ${disconnected} disconnected` : '')
  lines.push(
    paint(good ? 'green' : nacked > 0 ? 'red' : 'yellow', complete ? sum : `${sum}: the time is over`),
  )
  const say = (line: string): void => {
    lines.push(wrap(`  ${printable(line)}`, { width: terminal.width, indent: '    ' }))
  }
  for (const { node, typeUrl, names, message } of nacks) {
    say(`${node} refused ${shortType(typeUrl)} ${names.join(', ')}: ${message}`)
  }
  for (const { node, typeUrls } of waiting) {
    say(`${node} has not answered ${typeUrls.map(shortType).join(', ')}`)
  }
  for (const { node } of gone) say(`${node} disconnected before it answered`)
  const unnamed = nacked - nacks.length + (pending - waiting.length) + (disconnected - gone.length)
  if (unnamed > 0) say(`and ${unnamed} more`)
  for (const { replica, state } of replicas) {
    if (state === 'silent') say(`replica ${replica} has not said anything`)
    if (state === 'ahead') say(`replica ${replica} has not applied it yet`)
    if (state === 'forgotten') say(`replica ${replica} no longer knows whom it touched`)
  }
  return lines.join('\n')
}
