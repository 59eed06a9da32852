import { Command, CommanderError } from 'commander'
import { createContext, type CommonOptions, type Run } from './command-context.ts'
import { applyCommand } from './commands/apply.ts'
import { bootstrapCommand } from './commands/bootstrap.ts'
import { importCommand } from './commands/import.ts'
import { overrideCommand } from './commands/override.ts'
import { changesCommand, watchCommand } from './commands/changes.ts'
import { deregisterCommand, registerCommand } from './commands/register.ts'
import { instancesCommand, servicesCommand } from './commands/services.ts'
import { sinksCommand } from './commands/sinks.ts'
import { statusCommand } from './commands/status.ts'
import { syncCommand } from './commands/sync.ts'
import { tokenCommand } from './commands/token.ts'
import { whyUnhealthyCommand } from './commands/why-unhealthy.ts'
import { CliError, exitCodes, type ExitCode } from './exit-code.ts'
import type { Terminal } from './terminal.ts'

export interface CliOptions {
  /** Without the program's own name. */
  readonly argv: readonly string[]
  readonly terminal: Terminal
}

/** Runs one command line; resolves with its exit code and never rejects for what a user can do wrong. */
export const runCli = async ({ argv, terminal }: CliOptions): Promise<ExitCode> => {
  let exitCode: ExitCode = exitCodes.ok
  const run: Run = async (command, body) => {
    exitCode = await body(createContext(terminal, command.optsWithGlobals<CommonOptions>()))
  }
  const program = new Command('waymark')
    .description('Asks and tells a Waymark control plane')
    .option('--api <url>', 'address of the REST API (WAYMARK_API; default http://127.0.0.1:7400)')
    .option('--json', 'print the answer as JSON')
    .configureOutput({
      writeOut: text => {
        terminal.out(text.trimEnd())
      },
      writeErr: text => {
        terminal.err(text.trimEnd())
      },
    })
    .showHelpAfterError('(waymark --help lists the commands)')
    .exitOverride()
  const commands = [
    statusCommand,
    syncCommand,
    servicesCommand,
    instancesCommand,
    whyUnhealthyCommand,
    registerCommand,
    deregisterCommand,
    importCommand,
    overrideCommand,
    applyCommand,
    changesCommand,
    watchCommand,
    sinksCommand,
    bootstrapCommand,
    tokenCommand,
  ]
  // copyInheritedSettings: errors of subcommands are thrown and printed as the program's are.
  for (const create of commands) program.addCommand(create(run).copyInheritedSettings(program))
  try {
    await program.parseAsync(argv, { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    if (!(error instanceof CliError)) throw error
    terminal.err(`waymark: ${error.message}`)
    return error.exitCode
  }
}
