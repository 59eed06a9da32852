import { Command } from 'commander'
import type { InstanceView } from '../../rest/schemas/instance.ts'
import { instancePath, parseInstance, type Run } from '../command-context.ts'
import { exitCodes } from '../exit-code.ts'
import {
  addWaitOptions,
  parseWait,
  waitAcked,
  waitedCode,
  waitedText,
  type WaitOptions,
} from '../wait-acked.ts'

interface OverrideOptions extends WaitOptions {
  readonly reason?: string
  readonly for?: string
  readonly until?: string
  readonly by?: string
}

/** `waymark override SERVICE/ID STATUS`: over all evidence, until it is taken back with `none`. */
export const overrideCommand = (run: Run): Command => {
  const command = addWaitOptions(
    new Command('override')
      .description('set maintenance or draining over all evidence, or take it back with none')
      .argument('<service/id>')
      .argument('<status>', 'maintenance, draining or none')
      .option('--reason <text>')
      .option('--for <duration>', 'ends by itself after this long, such as 30m')
      .option('--until <time>', 'ends by itself then, such as 2030-01-31T18:00:00Z')
      .option('--by <name>', 'who says so; kept with the change'),
  )
  return command.action((instance: string, status: string, options: OverrideOptions) =>
    run(command, async context => {
      const waitMs = parseWait(options)
      const path = `${instancePath(parseInstance(instance))}/override`
      const { reason, for: ttl, until: expiresAt, by } = options
      const { body } = await context.api.send<InstanceView>('PUT', path, {
        // What is undefined is left out of JSON.
        body: { status, reason, ttl, expiresAt },
        ...(by === undefined ? {} : { actor: by }),
      })
      const ends = body.override?.expiresAt ?? null
      const waited = waitMs === null ? [] : await waitAcked(context, [body.revision], waitMs)
      const [sidecars] = waited
      context.print(sidecars === undefined ? body : { ...body, sidecars }, () =>
        [
          `${instance} is ${body.verdict}${ends === null ? '' : ` until ${ends}`} (revision ${body.revision})`,
          ...waited.map(view => waitedText(view, context)),
        ].join('\n'),
      )
      return waited.length === 0 ? exitCodes.ok : waitedCode(waited)
    }),
  )
}
