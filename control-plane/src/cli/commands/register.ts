import { Command } from 'commander'
import type { InstanceView } from '../../rest/schemas/instance.ts'
import { collect, instancePath, parseInstance, parsePort, type Run } from '../command-context.ts'
import { CliError, exitCodes } from '../exit-code.ts'
import {
  addWaitOptions,
  parseWait,
  waitAcked,
  waitedCode,
  waitedText,
  type WaitOptions,
} from '../wait-acked.ts'

interface RegisterOptions extends WaitOptions {
  readonly address: string
  readonly port: string
  readonly version?: string
  readonly weight?: string
  readonly zone?: string
  readonly region?: string
  readonly metadata?: readonly string[]
  readonly sidecarPort?: string
  /** False with `--no-lease`. */
  readonly lease: boolean
}

const metadataOf = (pairs: readonly string[] = []): Record<string, string> =>
  Object.fromEntries(
    pairs.map(pair => {
      const equals = pair.indexOf('=')
      if (equals > 0) return [pair.slice(0, equals), pair.slice(equals + 1)]
      throw new CliError(exitCodes.usage, `"${pair}" is no metadata; write KEY=VALUE`)
    }),
  )

const registrationOf = (options: RegisterOptions): Record<string, unknown> => ({
  address: options.address,
  port: parsePort(options.port),
  version: options.version,
  weight: options.weight === undefined ? undefined : Number(options.weight),
  locality: { region: options.region, zone: options.zone },
  metadata: metadataOf(options.metadata),
  sidecar: options.sidecarPort === undefined ? undefined : { port: parsePort(options.sidecarPort) },
  // Absent, the API gives the default lease.
  lease: options.lease ? undefined : null,
})

/** `waymark register SERVICE/ID`: one registration; heartbeats are the instance's own affair. */
export const registerCommand = (run: Run): Command => {
  const command = new Command('register')
    .description('register an instance, once; it has to beat for itself, or be given --no-lease')
    .argument('<service/id>')
    .requiredOption('--address <ip>')
    .requiredOption('--port <port>')
    .option('--version <version>')
    .option('--weight <weight>', '1 to 1000')
    .option('--region <region>')
    .option('--zone <zone>')
    .option('--metadata <key=value>', 'may be given several times', collect)
    .option('--sidecar-port <port>', "inbound port of the instance's sidecar")
    .option('--no-lease', 'the instance never beats')
  addWaitOptions(command)
  return command.action((instance: string, options: RegisterOptions) =>
    run(command, async context => {
      const waitMs = parseWait(options)
      const path = instancePath(parseInstance(instance))
      const { status, revision, body } = await context.api.send<InstanceView>('PUT', path, {
        body: registrationOf(options),
      })
      const waited = waitMs === null ? [] : await waitAcked(context, [body.revision], waitMs)
      const [sidecars] = waited
      context.print(sidecars === undefined ? body : { ...body, sidecars }, () =>
        [
          `${instance} ${status === 201 ? 'registered' : 'updated'} (revision ${revision})`,
          ...waited.map(view => waitedText(view, context)),
        ].join('\n'),
      )
      return waited.length === 0 ? exitCodes.ok : waitedCode(waited)
    }),
  )
}

/** `waymark deregister SERVICE/ID`. */
export const deregisterCommand = (run: Run): Command => {
  const command = new Command('deregister')
    .description('deregister an instance')
    .argument('<service/id>')
    .option('--drain <duration>', 'first draining for this long, such as 30s')
  addWaitOptions(command)
  return command.action((instance: string, options: WaitOptions & { readonly drain?: string }) =>
    run(command, async context => {
      const { drain } = options
      const waitMs = parseWait(options)
      const query = drain === undefined ? '' : `?drain=${encodeURIComponent(drain)}`
      const path = `${instancePath(parseInstance(instance))}${query}`
      const { revision, body } = await context.api.send<InstanceView | undefined>('DELETE', path)
      const waited = waitMs === null ? [] : await waitAcked(context, [body?.revision ?? revision], waitMs)
      const [sidecars] = waited
      context.print(sidecars === undefined ? (body ?? null) : { ...body, sidecars }, () =>
        [
          body === undefined
            ? `${instance} is gone (revision ${revision})`
            : `${instance} is draining until ${body.removeAt ?? 'somebody ends it'} (revision ${revision})`,
          ...waited.map(view => waitedText(view, context)),
        ].join('\n'),
      )
      return waited.length === 0 ? exitCodes.ok : waitedCode(waited)
    }),
  )
}
