import type { SidecarConfigView } from '../../rest/schemas/sidecar-config.ts'
import type { CommandContext } from '../command-context.ts'
import { compareConfigs, type Comparison, type Difference } from '../diff/compare-configs.ts'
import { dumpConfig, dumpNode, ownConfig } from '../diff/config-set.ts'
import type { Json } from '../diff/json.ts'
import { CliError, exitCodes, type ExitCode } from '../exit-code.ts'
import { reasonOf } from '../reason-of.ts'
import { table } from '../table.ts'

export interface SyncDiffOptions {
  /** URL of the sidecar's admin listener. Default: port 15000 of this host. */
  readonly admin?: string | undefined
  /** How long to wait for differences to go away. */
  readonly waitMs: number
}

const defaultAdmin = 'http://127.0.0.1:15000'

const timeoutMs = 20_000
const pollMs = 250
/** Of a value in the table. */
const maxText = 80

const readDump = async (admin: string): Promise<Json> => {
  if (!URL.canParse(admin) || !/^https?:$/.test(new URL(admin).protocol)) {
    throw new CliError(exitCodes.usage, `"${admin}" is no URL of an admin listener, such as ${defaultAdmin}`)
  }
  const url = `${admin.replace(/\/+$/, '')}/config_dump?include_eds`
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) })
    if (!response.ok) throw new Error(`it answered ${response.status}`)
    return (await response.json()) as Json
  } catch (error) {
    throw new CliError(
      exitCodes.unavailable,
      `no config dump from the sidecar at ${url}: ${reasonOf(error)}. Its admin listener is open on its own host only; another address: --admin`,
      { cause: error },
    )
  }
}

const compareNow = async ({ api }: CommandContext, node: string, admin: string): Promise<Comparison> => {
  const path = `/sidecars/${encodeURIComponent(node)}/config?state=wanted`
  const ours = await api.get<SidecarConfigView>(path)
  const dump = await readDump(admin)
  const dumped = dumpNode(dump)
  if (dumped !== node) {
    throw new CliError(exitCodes.refused, `the Envoy at ${admin} is ${dumped || 'nameless'}, not ${node}`)
  }
  return compareConfigs(ownConfig(ours), dumpConfig(dump))
}

const valueText = (value: Json | undefined): string => {
  if (value === undefined) return '-'
  const text = JSON.stringify(value)
  return text.length > maxText ? `${text.slice(0, maxText)}…` : text
}

const row = ({ kind, name, path, what, ours, theirs }: Difference): string[] => [
  `${kind} ${name}`,
  what === 'order' ? `${path} (order)` : path,
  valueText(ours),
  valueText(theirs),
]

export const diffText = (node: string, { resources, differences, notes }: Comparison): string => {
  const changed = new Set(differences.map(({ kind, name }) => `${kind} ${name}`)).size
  return [
    differences.length === 0
      ? `${node} has what it should have: ${resources} resources, no difference`
      : `${node}: ${differences.length} ${differences.length === 1 ? 'difference' : 'differences'} in ${changed} of ${resources} resources`,
    ...(differences.length === 0
      ? []
      : ['', table(['resource', 'field', 'ours', 'theirs'], differences.map(row))]),
    ...notes.map((note, n) => `${n === 0 ? '\n' : ''}note: ${note}`),
  ].join('\n')
}

/** `waymark sync --diff NODE`: what the sidecar should have against its own config dump; exit code 1 for differences. */
export const syncDiff = async (
  context: CommandContext,
  node: string | undefined,
  { admin = defaultAdmin, waitMs }: SyncDiffOptions,
): Promise<ExitCode> => {
  if (node === undefined) throw new CliError(exitCodes.usage, '--diff needs a node: SERVICE/INSTANCE')
  const { clock } = context.terminal
  const end = clock.monotonic() + waitMs
  let comparison = await compareNow(context, node, admin)
  while (comparison.differences.length > 0 && clock.monotonic() < end) {
    await clock.sleep(pollMs)
    comparison = await compareNow(context, node, admin)
  }
  context.print({ node, ...comparison }, () => diffText(node, comparison))
  return comparison.differences.length === 0 ? exitCodes.ok : exitCodes.finding
}
