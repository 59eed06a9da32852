import { createApp } from '@waymark/control-plane/app.ts'
import { readConfig } from '@waymark/control-plane/config.ts'
import { systemClock } from '@waymark/control-plane/runtime/clock.ts'
import { silentLogger } from '@waymark/control-plane/runtime/logger.ts'
import { systemRandom } from '@waymark/control-plane/runtime/random.ts'
import type { XdsSource } from '@waymark/control-plane/xds/port.ts'
import { onTestFinished } from 'vitest'
import { eventually } from './eventually.ts'
import { ForcedSource } from './forced-source.ts'

/** A replica in this process, whose resources the test can replace. */
export const startForcedReplica = async (databaseUrl: string) => {
  const config = readConfig(
    {
      DATABASE_URL: databaseUrl,
      WAYMARK_HTTP_LISTEN: '127.0.0.1:0',
      WAYMARK_XDS_LISTEN: '127.0.0.1:0',
      WAYMARK_REPLICA_ID: 'forced',
    },
    'forced',
  )
  let forced: ForcedSource | null = null
  const wrapSource = (source: XdsSource): XdsSource => (forced = new ForcedSource(source))
  const app = await createApp({
    config,
    clock: systemClock,
    logger: silentLogger,
    random: systemRandom,
    wrapSource,
  })
  const { http, xds } = await app.start()
  onTestFinished(() => app.stop())
  const source = await eventually('the source', () => forced)
  await source.ready()
  return { app, http, xds, source }
}
