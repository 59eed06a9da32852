import { Command } from 'commander'
import type { BatchResultView } from '../../rest/schemas/batch.ts'
import { ApiRefusedError } from '../api-client.ts'
import type { Run } from '../command-context.ts'
import { CliError, exitCodes } from '../exit-code.ts'
import { importLines, type ImportSummary } from '../import-lines.ts'
import { reasonOf } from '../reason-of.ts'
import { printable } from '../table.ts'
import type { Terminal } from '../terminal.ts'
import {
  addWaitOptions,
  parseWait,
  waitAcked,
  waitedCode,
  waitedText,
  type WaitOptions,
} from '../wait-acked.ts'

const progressMs = 1_000

const count = (value: number): string => value.toLocaleString('en-US')

const summaryText = ({
  lines,
  registered,
  unchanged,
  deregistered,
  refused,
  revision,
}: ImportSummary): string =>
  [
    `${count(lines)} lines: ${count(registered)} registered`,
    ...(unchanged > 0 ? [`${count(unchanged)} unchanged`] : []),
    ...(deregistered > 0 ? [`${count(deregistered)} deregistered`] : []),
    ...(refused > 0 ? [`${count(refused)} refused`] : []),
    ...(revision > 0 ? [`revision ${revision}`] : []),
  ].join(', ')

const refusalTexts = ({ line, status, problem }: BatchResultView): string[] => {
  if (problem === undefined) return [`line ${line}: ${status}`]
  const what = `line ${line}: ${problem.title} (${problem.code})`
  const { errors = [] } = problem
  if (errors.length === 0) return [`${what}: ${problem.detail}`]
  return [
    what,
    ...errors.map(
      ({ pointer, detail, accepted }) => `  ${pointer || 'the line'}: ${detail}; accepted: ${accepted}`,
    ),
  ]
}

/** The lines of a file. What keeps it from being read is the caller's mistake. */
const opened = async function* (terminal: Terminal, file: string): AsyncGenerator<Buffer> {
  try {
    yield* terminal.open(file)
  } catch (error) {
    throw new CliError(exitCodes.usage, `${file} cannot be read: ${reasonOf(error)}`, { cause: error })
  }
}

/** `waymark import FILE`: registers and deregisters what the lines of a file say. */
export const importCommand = (run: Run): Command => {
  const command = new Command('import')
    .description('register and deregister instances, one line of JSON each; again is harmless')
    .argument('<file>', '- reads the standard input')
  addWaitOptions(command)
  return command.action((file: string, options: WaitOptions) =>
    run(command, async context => {
      const { api, terminal, print } = context
      const waitMs = parseWait(options)
      let shownAt = terminal.clock.monotonic()
      const summary = await importLines(opened(terminal, file), {
        send: lines => api.sendLines<BatchResultView>('/instances:batch', lines),
        clock: terminal.clock,
        // Whoever cannot be reached to begin with is to hear it at once.
        isPassing: (error, answered) =>
          error instanceof CliError &&
          error.exitCode === exitCodes.unavailable &&
          (answered || (error instanceof ApiRefusedError && error.problem.status === 503)),
        onRefused: result => {
          for (const text of refusalTexts(result)) terminal.err(printable(text))
        },
        onProgress: soFar => {
          const now = terminal.clock.monotonic()
          if (now - shownAt < progressMs) return
          shownAt = now
          terminal.err(summaryText(soFar))
        },
      })
      const revisions = summary.revision > 0 ? [summary.revision] : []
      const waited = waitMs === null ? [] : await waitAcked(context, revisions, waitMs)
      print(waited.length === 0 ? summary : { ...summary, sidecars: waited }, () =>
        [summaryText(summary), ...waited.map(view => waitedText(view, context))].join('\n'),
      )
      if (summary.unavailable > 0) return exitCodes.unavailable
      if (summary.refused > 0) return exitCodes.refused
      return waited.length === 0 ? exitCodes.ok : waitedCode(waited)
    }),
  )
}
