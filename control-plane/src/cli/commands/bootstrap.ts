import {
  bootstrapYaml,
  buildBootstrap,
  type BootstrapInput,
} from '@waymark/sidecar-config/bootstrap/bootstrap.ts'
import { buildGrpcBootstrap } from '@waymark/sidecar-config/bootstrap/grpc-bootstrap.ts'
import { secretFiles, type SecurityInput } from '@waymark/sidecar-config/bootstrap/control-plane-security.ts'
import { resolve } from 'node:path'
import { Command } from 'commander'
import { isInstanceId } from '../../domain/service-name.ts'
import { collect, parsePort, parseServiceName, type Run } from '../command-context.ts'
import { reasonOf } from '../reason-of.ts'
import { CliError, exitCodes } from '../exit-code.ts'
import type { Terminal } from '../terminal.ts'

interface BootstrapOptions {
  readonly grpc?: boolean
  readonly service: string
  readonly instance: string
  readonly controlPlane?: readonly string[]
  readonly region: string
  readonly zone: string
  readonly outboundPort?: string
  readonly inboundPort?: string
  readonly adminPort?: string
  readonly prometheusPort?: string
  readonly readyPort?: string
  readonly memoryLimit?: string
  readonly tlsCa?: string
  readonly tlsName?: readonly string[]
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tokenFile?: string
  readonly upstream?: readonly string[]
  readonly onDemand?: boolean
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

/** Of the memory that the sidecar may use, what Envoy's heap may become; the rest is its program and stacks. */
const heapShare = 0.8

/** `512Mi`, `2Gi` or bytes, as Kubernetes writes them; in MiB of heap. */
const parseMemoryLimit = (text: string): number => {
  const [, number, unit] = /^([0-9]{1,15})(Mi|Gi)?$/.exec(text) ?? []
  const mebibytes = Number(number) * (unit === 'Gi' ? 1024 : unit === 'Mi' ? 1 : 1 / 1024 / 1024)
  if (mebibytes >= 64 && mebibytes <= 1024 * 1024) return Math.floor(mebibytes * heapShare)
  throw new CliError(
    exitCodes.usage,
    `"${text}" is no memory limit; write 512Mi, 2Gi or bytes, 64Mi at least`,
  )
}

const securityOf = (options: BootstrapOptions): SecurityInput => {
  const { tlsCa, tlsName, tlsCert, tlsKey, tokenFile, output } = options
  if (tlsCa === undefined && (tlsName ?? tlsCert ?? tlsKey) !== undefined) {
    throw new CliError(exitCodes.usage, '--tls-name, --tls-cert and --tls-key need --tls-ca')
  }
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new CliError(exitCodes.usage, '--tls-cert and --tls-key need each other')
  }
  if (tlsCa === undefined && tokenFile === undefined) return {}
  if (output === undefined) {
    throw new CliError(
      exitCodes.usage,
      'TLS and tokens need --output: files that Envoy reads are written beside it',
    )
  }
  return {
    secretFilePrefix: resolve(output).replace(/\.(?:json|ya?ml)$/, ''),
    ...(tokenFile !== undefined && { tokenFile: resolve(tokenFile) }),
    ...(tlsCa !== undefined && {
      tls: {
        caFile: resolve(tlsCa),
        ...(tlsName && { names: tlsName }),
        ...(tlsCert !== undefined &&
          tlsKey !== undefined && {
            certificate: { certificateFile: resolve(tlsCert), keyFile: resolve(tlsKey) },
          }),
      },
    }),
  }
}

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
    ...optionalPort('readyPort', options.readyPort),
    ...(options.memoryLimit !== undefined && { maxHeapMebibytes: parseMemoryLimit(options.memoryLimit) }),
    ...(options.upstream === undefined ? {} : { upstreams: options.upstream.map(parseServiceName) }),
    ...(options.onDemand === true && { onDemand: true }),
    ...securityOf(options),
  }
}

/** Throws CliError for what is refused as a whole. */
const build = (input: BootstrapInput): Record<string, unknown> => {
  try {
    return buildBootstrap(input)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new CliError(exitCodes.usage, error.message, { cause: error })
  }
}

/** What a gRPC program has no use for. */
const sidecarOptions = [
  'outboundPort',
  'inboundPort',
  'adminPort',
  'prometheusPort',
  'readyPort',
  'memoryLimit',
  'tlsName',
  'tokenFile',
  'upstream',
  'onDemand',
] as const

const flagOf = (option: string): string =>
  `--${option.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`

const buildForGrpc = (options: BootstrapOptions): Record<string, unknown> => {
  const useless = sidecarOptions.filter(option => options[option] !== undefined).map(flagOf)
  if (useless.length > 0) throw new CliError(exitCodes.usage, `--grpc does not go with ${useless.join(', ')}`)
  // Nothing is written beside it, wherever it goes.
  const { service, instance, locality, controlPlane, tls } = inputOf({ ...options, output: '' })
  return buildGrpcBootstrap({ service, instance, locality, controlPlane, ...(tls && { tls }) })
}

const asJson = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

/** The last file is the one that was asked for. */
const writeFiles = async (
  terminal: Terminal,
  files: readonly { readonly path: string; readonly content: string }[],
): Promise<void> => {
  for (const { path, content } of files) {
    try {
      await terminal.write(path, content)
    } catch (error) {
      throw new CliError(exitCodes.usage, `${path} cannot be written: ${reasonOf(error)}`, { cause: error })
    }
  }
  terminal.err(`wrote ${files.at(-1)?.path ?? ''}`)
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
    .option('--grpc', 'for a gRPC program without a sidecar: the JSON file that GRPC_XDS_BOOTSTRAP names')
    .option('--region <region>', 'where the instance runs', '')
    .option('--zone <zone>', 'where the instance runs', '')
    .option('--outbound-port <port>', 'where the application calls others (default 15001)')
    .option('--inbound-port <port>', 'where others call the application (default 15006)')
    .option('--admin-port <port>', "of Envoy's admin interface (default 15000)")
    .option('--prometheus-port <port>', 'serve metrics there (default: not at all)')
    .option('--ready-port <port>', 'answer probes there at /ready (default: not at all)')
    .option('--memory-limit <bytes>', 'what the sidecar may use, such as 512Mi (default 1280Mi)')
    .option('--tls-ca <file>', "roots of the control plane's certificate (default: plain text)")
    .option('--tls-name <name>', 'a name in its certificate; several (default: the hosts)', collect)
    .option('--tls-cert <file>', "the sidecar's own certificate")
    .option('--tls-key <file>', 'its key')
    .option('--token-file <file>', "the sidecar's token, see waymark token new")
    .option('--upstream <service>', 'a service that is called; several (default: all of the mesh)', collect)
    .option('--on-demand', 'give the sidecar other services when the instance first calls them')
    .option('--output <file>', 'instead of the terminal; JSON if its name ends so, else YAML')
  return command.action((options: BootstrapOptions) =>
    run(command, async ({ terminal, print }) => {
      if (options.grpc === true) {
        const grpc = buildForGrpc(options)
        if (options.output === undefined) print(grpc, () => asJson(grpc).trimEnd())
        else await writeFiles(terminal, [{ path: options.output, content: asJson(grpc) }])
        return exitCodes.ok
      }
      const input = inputOf(options)
      const json = build(input)
      if (options.output === undefined) {
        print(json, () => bootstrapYaml(input).trimEnd())
        return exitCodes.ok
      }
      const content = options.output.endsWith('.json') ? asJson(json) : bootstrapYaml(input)
      const files = [
        ...secretFiles(input).map(file => ({ path: file.path, content: asJson(file.json) })),
        { path: options.output, content },
      ]
      await writeFiles(terminal, files)
      return exitCodes.ok
    }),
  )
}
