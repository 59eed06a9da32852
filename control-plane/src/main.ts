/** The control-plane process: environment -> config -> app -> signals. The only file that ends the process. */
import { randomBytes } from 'node:crypto'
import { createApp } from './app.ts'
import { ConfigError, readConfig } from './config.ts'
import { systemClock } from './runtime/clock.ts'
import { systemRandom } from './runtime/random.ts'
import { createLogger } from './telemetry/logger.ts'

/** A stop that takes longer than this is cut short (ms). */
const stopLimitMs = 15_000

const createOrExit = async () => {
  try {
    const config = readConfig(process.env, randomBytes(3).toString('hex'))
    const logger = createLogger({ level: config.logLevel, replicaId: config.replicaId })
    const app = await createApp({ config, logger, clock: systemClock, random: systemRandom })
    return { logger, app }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`waymark: ${error.message}\n`)
    return process.exit(2)
  }
}

const { logger, app } = await createOrExit()

let stopping = false
const stop = (reason: string, code: number): void => {
  if (stopping) return
  stopping = true
  logger.info({ reason }, 'stopping')
  systemClock.timer(stopLimitMs, () => {
    logger.error({}, 'stopping took too long')
    process.exit(1)
  })
  app.stop().then(
    () => process.exit(code),
    (error: unknown) => {
      logger.error({ error }, 'stopping failed')
      process.exit(1)
    },
  )
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    stop(signal, 0)
  })
}
app.ended.catch(() => {
  stop('defect', 1)
})
try {
  await app.start()
} catch (error) {
  logger.error({ error }, 'a listener could not be opened')
  stop('no listener', 1)
}
