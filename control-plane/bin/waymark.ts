import { runCli } from '../src/cli/run-cli.ts'
import { systemTerminal } from '../src/cli/terminal.ts'

process.exitCode = await runCli({ argv: process.argv.slice(2), terminal: systemTerminal(process) })
