import pg from 'pg'
import { clientConfig, type ConnectionOptions } from './database.ts'

export interface ListenOptions {
  readonly connection: ConnectionOptions
  /** Names that need no quotes. */
  readonly channels: readonly string[]
  /** From now on notifications come; earlier ones are lost. */
  readonly onListening: () => void
  /** `backend`: which database backend sent it. */
  readonly onNotification: (notification: { readonly channel: string; readonly backend: number }) => void
  readonly signal: AbortSignal
}

/**
 * Listens on a connection of its own until the signal aborts or the connection breaks. Resolves then; rejects when
 * no connection could be made. Notifications are hints: they may be lost.
 */
export const listen = async (options: ListenOptions): Promise<void> => {
  const { connection, channels, onListening, onNotification, signal } = options
  const client = new pg.Client(clientConfig(connection))
  const broken = Promise.withResolvers<undefined>()
  const end = (): void => {
    broken.resolve(undefined)
  }
  client.on('error', end)
  client.on('end', end)
  signal.addEventListener('abort', end)
  client.on('notification', ({ channel, processId }) => {
    onNotification({ channel, backend: processId })
  })
  try {
    await client.connect()
    for (const channel of channels) await client.query(`listen ${channel}`)
    onListening()
    await broken.promise
  } finally {
    signal.removeEventListener('abort', end)
    await client.end().catch(() => undefined)
  }
}
