import type { Command } from 'commander'
import { isInstanceId, isServiceName } from '../domain/service-name.ts'
import { ApiClient } from './api-client.ts'
import { CliError, exitCodes, type ExitCode } from './exit-code.ts'
import type { Terminal } from './terminal.ts'

/** What a command works with. */
export interface CommandContext {
  readonly terminal: Terminal
  readonly api: ApiClient
  /** Prints the answer itself for programs, or `human()` for people. */
  readonly print: (answer: unknown, human: () => string) => void
}

/** Runs a command's body and keeps its exit code. */
export type Run = (command: Command, body: (context: CommandContext) => Promise<ExitCode>) => Promise<void>

/** `--api` and `--json` of a command. */
export interface CommonOptions {
  readonly api?: string
  readonly json?: boolean
}

export const defaultApi = 'http://127.0.0.1:7400'

export const createContext = (terminal: Terminal, { api, json }: CommonOptions): CommandContext => {
  const client = (): ApiClient => new ApiClient(api ?? terminal.env.WAYMARK_API ?? defaultApi)
  let made: ApiClient | undefined
  return {
    terminal,
    get api() {
      return (made ??= client())
    },
    print: (answer, human) => {
      terminal.out(json === true ? JSON.stringify(answer, null, 2) : human())
    },
  }
}

/** `payments/payments-1` in its two parts. Throws CliError. */
export const parseInstance = (text: string): { readonly service: string; readonly id: string } => {
  const slash = text.indexOf('/')
  const service = text.slice(0, Math.max(0, slash))
  const id = text.slice(slash + 1)
  if (slash > 0 && isServiceName(service) && isInstanceId(id)) return { service, id }
  throw new CliError(
    exitCodes.usage,
    `"${text}" is no instance; write SERVICE/ID, such as payments/payments-1`,
  )
}

/** Throws CliError. */
export const parseServiceName = (text: string): string => {
  if (isServiceName(text)) return text
  throw new CliError(
    exitCodes.usage,
    `"${text}" is no service name: DNS labels of a-z, 0-9 and "-" joined by dots`,
  )
}

/** Throws CliError. */
export const parsePort = (text: string): number => {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0
  if (port >= 1 && port <= 65_535) return port
  throw new CliError(exitCodes.usage, `"${text}" is no port from 1 to 65535`)
}

export const instancePath = ({ service, id }: { readonly service: string; readonly id: string }): string =>
  `/services/${encodeURIComponent(service)}/instances/${encodeURIComponent(id)}`

/** Collects an option that may be given several times. */
export const collect = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  value,
]
