import {
  bootstrapYaml,
  buildBootstrap,
  type BootstrapInput,
} from '@waymark/sidecar-config/bootstrap/bootstrap.ts'
import { Command } from 'commander'
import { isInstanceId } from '../../domain/service-name.ts'
import { collect, parsePort, parseServiceName, type Run } from '../command-context.ts'
import { reasonOf } from '../reason-of.ts'
import { CliError, exitCodes } from '../exit-code.ts'

interface BootstrapOptions {
  readonly service: string
  readonly instance: string
  readonly controlPlane?: readonly string[]
  readonly region: string
  readonly zone: string
  readonly outboundPort?: string
  readonly inboundPort?: string
  readonly adminPort?: string
  readonly prometheusPort?: string
  readonly upstream?: readonly string[]
  readonly output?: string
}

const defaultControlPlane = '127.0.0.1:7401'

/** `host:port`, IPv6 addresses in brackets. */
const parseControlPlane = (text: string): { readonly host: string; readonly port: number } => {
  const [, bracketed, plain, port] =
    /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  if (host === undefined || port === undefined) {
    throw new CliError(exitCodes.usage, `"${text}" is no address of a control plane; write HOST:PORT`)
  }
  return { host, port: parsePort(port) }
}

const optionalPort = <Name extends string>(name: Name, text: string | undefined) =>
  (text === undefined ? {} : { [name]: parsePort(text) }) as Partial<Record<Name, number>>

const inputOf = (options: BootstrapOptions): BootstrapInput => {
  if (!isInstanceId(options.instance)) {
    throw new CliError(exitCodes.usage, `"${options.instance}" is no instance id`)
  }
  return {
    service: parseServiceName(options.service),
    instance: options.instance,
    locality: { region: options.region, zone: options.zone },
    controlPlane: (options.controlPlane ?? [defaultControlPlane]).map(parseControlPlane),
    ...optionalPort('outboundPort', options.outboundPort),
    ...optionalPort('inboundPort', options.inboundPort),
    ...optionalPort('adminPort', options.adminPort),
    ...optionalPort('prometheusPort', options.prometheusPort),
    ...(options.upstream === undefined ? {} : { upstreams: options.upstream.map(parseServiceName) }),
  }
}

/** `waymark bootstrap`: Envoy's configuration file for the sidecar of one instance. Asks no API. */
export const bootstrapCommand = (run: Run): Command => {
  const command = new Command('bootstrap')
    .description('write the Envoy bootstrap of an instance')
    .requiredOption('--service <service>')
    .requiredOption('--instance <id>')
    .option(
      '--control-plane <host:port>',
      `several for several replicas (default ${defaultControlPlane})`,
      collect,
    )
    .option('--region <region>', 'where the instance runs', '')
    .option('--zone <zone>', 'where the instance runs', '')
    .option('--outbound-port <port>', 'where the application calls others (default 15001)')
    .option('--inbound-port <port>', 'where others call the application (default 15006)')
    .option('--admin-port <port>', "of Envoy's admin interface (default 15000)")
    .option('--prometheus-port <port>', 'serve metrics there (default: not at all)')
    .option('--upstream <service>', 'a service that is called; several (default: all of the mesh)', collect)
    .option('--output <file>', 'instead of the terminal; JSON if its name ends so, else YAML')
  return command.action((options: BootstrapOptions) =>
    run(command, async ({ terminal, print }) => {
      const input = inputOf(options)
      const json = buildBootstrap(input)
      if (options.output === undefined) {
        print(json, () => bootstrapYaml(input).trimEnd())
        return exitCodes.ok
      }
      const content = options.output.endsWith('.json')
        ? `${JSON.stringify(json, null, 2)}\n`
        : bootstrapYaml(input)
      try {
        await terminal.write(options.output, content)
      } catch (error) {
        throw new CliError(exitCodes.usage, `${options.output} cannot be written: ${reasonOf(error)}`, {
          cause: error,
        })
      }
      terminal.err(`wrote ${options.output}`)
      return exitCodes.ok
    }),
  )
}
