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

interface OpenFile {
  readonly handle: FileHandle
  readonly inode: number
  readonly device: number
}

/** Whether a file of this size ends in the middle of a line: a write that a crash or a full disk has cut. */
const endsTorn = async (file: FileHandle, size: number): Promise<boolean> => {
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
  #file: OpenFile | null = null
  /** The size after the last delivery. A file that still has it ends with a whole line. */
  #end = 0

  constructor(options: NdjsonFileSinkOptions) {
    this.name = options.name
    this.#path = options.path
  }

  async deliver(events: readonly EncodedEvent[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (events.length === 0) return
    try {
      const { file, size } = await this.#opened()
      const torn = size !== this.#end && (await endsTorn(file.handle, size))
      const lines = Buffer.from(`${torn ? '\n' : ''}${events.map(({ json }) => `${json}\n`).join('')}`)
      await file.handle.appendFile(lines)
      await file.handle.sync()
      this.#end = size + lines.length
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = null
    this.#end = 0
    await file?.handle.close()
  }

  /** The file that the path leads to now, and its size: one look at the disk where nothing has changed. */
  async #opened(): Promise<{ readonly file: OpenFile; readonly size: number }> {
    if (this.#file !== null) {
      const there = await stat(this.#path).catch(() => null)
      if (there?.ino === this.#file.inode && there.dev === this.#file.device)
        return { file: this.#file, size: there.size }
      await this.close()
    }
    // Readable too, for the last byte; only the owner and its group, since events hold metadata of the mesh.
    const handle = await open(this.#path, 'a+', 0o640)
    const { ino, dev, size } = await handle.stat()
    this.#file = { handle, inode: ino, device: dev }
    return { file: this.#file, size }
  }
}
