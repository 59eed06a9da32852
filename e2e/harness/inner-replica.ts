import { createApp } from '@waymark/control-plane/app.ts'
import { readConfig, type Config } from '@waymark/control-plane/config.ts'
import { systemClock } from '@waymark/control-plane/runtime/clock.ts'
import { silentLogger } from '@waymark/control-plane/runtime/logger.ts'
import { systemRandom } from '@waymark/control-plane/runtime/random.ts'
import { onTestFinished } from 'vitest'
import { Api } from './api.ts'
import { eventually } from './eventually.ts'

/** A replica in this process, with a configuration that the environment would not allow. It ends with the test. */
export const startInnerReplica = async (options: {
  readonly databaseUrl: string
  readonly name: string
  readonly config: Partial<Config>
}) => {
  const { databaseUrl, name, config } = options
  const environment = {
    DATABASE_URL: databaseUrl,
    WAYMARK_HTTP_LISTEN: '127.0.0.1:0',
    WAYMARK_XDS_LISTEN: '127.0.0.1:0',
    WAYMARK_REPLICA_ID: name,
  }
  const app = await createApp({
    config: { ...readConfig(environment, name), ...config },
    clock: systemClock,
    logger: silentLogger,
    random: systemRandom,
  })
  const { http, xds } = await app.start()
  onTestFinished(() => app.stop())
  await eventually(`${name} to be ready`, () => app.mesh.loaded)
  return { app, xds, api: new Api(`http://${http.host}:${http.port}`) }
}
