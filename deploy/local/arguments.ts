import { parseArgs } from 'node:util'
import { UserError } from './user-error.ts'

export interface UpArguments {
  readonly samples: boolean
  readonly traffic: boolean
  readonly smoke: boolean
  readonly help: boolean
}

export const usage = `npm run up -- [options]

Starts a whole mesh on this machine: Postgres, the control plane, sample services with their sidecars.
Ctrl-C stops everything; the data stays in .waymark/.

  --no-samples   only Postgres and the control plane
  --no-traffic   sample services, but no requests of our own
  --smoke        runs the story by itself (a killed instance, a control plane that restarts, a Postgres
                 that is away) and exits 0 or 1
  --help         this text

  DATABASE_URL          a Postgres to use instead of an embedded one
  ENVOY_BIN             the Envoy to use instead of one found on PATH or fetched
  WAYMARK_DATA_DIR      where everything is kept (.waymark)
  WAYMARK_HTTP_LISTEN   REST of the control plane (127.0.0.1:7400)
  WAYMARK_XDS_LISTEN    xDS of the control plane (127.0.0.1:7401)
`

/** Throws a `UserError` that names what it does not know. */
export const parseUpArguments = (args: readonly string[]): UpArguments => {
  try {
    const { values } = parseArgs({
      args: [...args],
      strict: true,
      allowPositionals: false,
      options: {
        'no-samples': { type: 'boolean', default: false },
        'no-traffic': { type: 'boolean', default: false },
        smoke: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.smoke && values['no-samples'])
      throw new UserError('--smoke needs the sample services, so it does not go with --no-samples.')
    return {
      samples: !values['no-samples'],
      traffic: !values['no-traffic'],
      smoke: values.smoke,
      help: values.help,
    }
  } catch (error) {
    if (error instanceof UserError) throw error
    const reason = error instanceof Error ? error.message.split('. ')[0] : 'they cannot be read'
    throw new UserError(`npm run up does not understand its arguments: ${reason ?? ''}.`, [
      'npm run up -- --help shows all of them.',
    ])
  }
}
