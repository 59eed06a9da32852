import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Receipts, StreamsConfig } from './streams-process.ts'

const program = fileURLToPath(import.meta.resolve('./streams-process.ts'))

/** Runs simulated sidecars in a process of their own while `work` runs. */
export const withStreams = async <T>(
  config: StreamsConfig,
  work: (streams: { readonly next: () => Promise<Receipts> }) => Promise<T>,
): Promise<T> => {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', program, JSON.stringify(config)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const line = async (): Promise<string> => {
    const { value, done } = await lines.next()
    if (done === true) throw new Error('the simulated sidecars have ended')
    return value
  }
  try {
    while ((await line()) !== 'ready');
    return await work({ next: async () => JSON.parse(await line()) as Receipts })
  } finally {
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  }
}
