import { Command } from 'commander'
import { newToken } from '../../domain/access-token.ts'
import { collect, parseServiceName, type Run } from '../command-context.ts'
import { CliError, exitCodes } from '../exit-code.ts'

interface NewTokenOptions {
  readonly service?: readonly string[]
  readonly allServices?: boolean
  readonly days: string
}

const dayMs = 24 * 60 * 60 * 1_000

const servicesOf = ({ service, allServices }: NewTokenOptions): readonly string[] => {
  if ((service === undefined) === (allServices !== true)) {
    throw new CliError(exitCodes.usage, 'say either --service, once or more, or --all-services')
  }
  return service?.map(parseServiceName) ?? ['*']
}

const daysOf = (text: string): number => {
  const days = /^[0-9]{1,4}$/.test(text) ? Number(text) : 0
  if (days >= 1 && days <= 3_650) return days
  throw new CliError(exitCodes.usage, `"${text}" is no number of days from 1 to 3650`)
}

/** `waymark token new`: a bearer token for sidecars, and its entry for the control plane. Asks no API. */
export const tokenCommand = (run: Run): Command => {
  const create = new Command('new')
    .description('make a token for the sidecars of a service; its entry goes into WAYMARK_XDS_TOKENS_FILE')
    .option('--service <service>', 'whose sidecars it speaks for; several', collect)
    .option('--all-services', 'for every sidecar, and for tools that see all of them')
    .option('--days <days>', 'how long it counts', '90')
  create.action((options: NewTokenOptions) =>
    run(create, ({ terminal, print }) => {
      const services = servicesOf(options)
      const expiresAt = terminal.clock.now() + daysOf(options.days) * dayMs
      const made = newToken({ services, expiresAt })
      print(made, () =>
        [
          'token, for the file that waymark bootstrap --token-file names; it is shown this once:',
          made.token,
          'entry, for the list in the file of WAYMARK_XDS_TOKENS_FILE:',
          JSON.stringify(made.entry),
        ].join('\n'),
      )
      return Promise.resolve(exitCodes.ok)
    }),
  )
  return new Command('token').description('make tokens for sidecars').addCommand(create)
}
