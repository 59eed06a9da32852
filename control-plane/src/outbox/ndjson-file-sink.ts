import { open, stat, type FileHandle } from 'node:fs/promises'
import type { EncodedEvent } from './cloud-event.ts'
import { sinkLimits } from './sink-limits.ts'
import type { Sink } from './sink.ts'

export interface NdjsonFileSinkOptions {
  readonly name: string
  /** Absolute. The folder has to exist. */
  readonly path: string
}

const newline = 0x0a

/** Whether the file ends in the middle of a line: a write that a crash or a full disk has cut. */
const endsTorn = async (file: FileHandle): Promise<boolean> => {
  const { size } = await file.stat()
  if (size === 0) return false
  const { buffer } = await file.read({ buffer: Buffer.alloc(1), position: size - 1 })
  return buffer[0] !== newline
}

/**
 * Appends one line of JSON an event. A delivery resolves after fsync, so the cursor never passes what is not on
 * disk. A file that was moved away or removed (log rotation) is opened again before the next delivery. What a
 * crash has cut stays as a line of its own and its event follows again whole; nothing is ever truncated, since
 * another owner may have written meanwhile.
 */
export class NdjsonFileSink implements Sink {
  readonly name: string
  readonly kind = 'file'
  readonly maxBatch = sinkLimits.file.maxBatch
  readonly maxBatchBytes = sinkLimits.file.maxBatchBytes
  readonly #path: string
  #file: FileHandle | null = null

  constructor(options: NdjsonFileSinkOptions) {
    this.name = options.name
    this.#path = options.path
  }

  async deliver(events: readonly EncodedEvent[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (events.length === 0) return
    try {
      const file = await this.#opened()
      const lines = events.map(({ json }) => `${json}\n`).join('')
      await file.appendFile((await endsTorn(file)) ? `\n${lines}` : lines)
      await file.sync()
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = null
    await file?.close()
  }

  async #opened(): Promise<FileHandle> {
    if (this.#file !== null && !(await this.#isCurrent(this.#file))) await this.close()
    // Readable too, for the last byte; only the owner and its group, since events hold metadata of the mesh.
    this.#file ??= await open(this.#path, 'a+', 0o640)
    return this.#file
  }

  /** Whether the path still leads to the open file. */
  async #isCurrent(file: FileHandle): Promise<boolean> {
    try {
      const [there, here] = await Promise.all([stat(this.#path), file.stat()])
      return there.ino === here.ino && there.dev === here.dev
    } catch {
      return false
    }
  }
}
