import { open } from 'node:fs/promises'
import type { Clock } from './clock.ts'
import type { Component } from './component.ts'
import type { Logger } from './logger.ts'

export interface ReloadedFilesOptions<Value extends object> {
  /** For the log and as the component's name: `certificate`. */
  readonly name: string
  readonly paths: readonly string[]
  /** Makes the value of the files' contents, in the order of `paths`. Throws when they are no good. */
  readonly parse: (contents: readonly Buffer[]) => Value
  readonly clock: Clock
  readonly logger: Logger
  /** Default 5 s. */
  readonly everyMs?: number
}

const maxBytes = 8 * 1024 * 1024

/**
 * What a few small files say, read again when their bytes change. It looks at the bytes every few seconds: mounted
 * secrets are exchanged by links, and network file systems announce nothing. Files that are no good change nothing:
 * the last good value stays, and the log says so once for every change.
 */
export class ReloadedFiles<Value extends object> implements Component {
  readonly name: string
  readonly #options: ReloadedFilesOptions<Value>
  readonly #listeners = new Set<(value: Value) => void>()
  #seen: readonly Buffer[]
  /** The last one told. */
  #problem = ''
  #unreadable = false
  #value: Value

  /** Rejects when the files cannot be read or are no good: there is no last good value yet. */
  static async open<Value extends object>(
    options: ReloadedFilesOptions<Value>,
  ): Promise<ReloadedFiles<Value>> {
    const contents = await readAll(options.paths)
    return new ReloadedFiles(options, contents, options.parse(contents))
  }

  private constructor(options: ReloadedFilesOptions<Value>, seen: readonly Buffer[], value: Value) {
    this.name = options.name
    this.#options = options
    this.#seen = seen
    this.#value = value
  }

  /** The last good value. */
  get value(): Value {
    return this.#value
  }

  /** Calls `listener` with each new value. Returns the call that ends it. */
  onChange(listener: (value: Value) => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  async start(signal: AbortSignal): Promise<void> {
    const { clock, everyMs = 5_000 } = this.#options
    while (!signal.aborted) {
      await clock.sleep(everyMs, signal)
      await this.check()
    }
  }

  /** The single step of the loop. Never rejects. */
  async check(): Promise<void> {
    const { paths, parse, logger, name } = this.#options
    const contents = await this.#try(() => readAll(paths))
    if (contents === undefined) {
      this.#unreadable = true
      return
    }
    if (this.#unreadable) this.#problem = ''
    this.#unreadable = false
    if (contents.every((content, index) => this.#seen[index]?.equals(content))) return
    this.#seen = contents
    const value = await this.#try(() => parse(contents))
    if (value === undefined) return
    this.#problem = ''
    this.#value = value
    logger.info({ name, paths }, 'changed files were loaded')
    for (const listener of this.#listeners) listener(value)
  }

  /** Tells a problem when it is not the last one told. */
  async #try<Result>(step: () => Result | Promise<Result>): Promise<Result | undefined> {
    try {
      return await step()
    } catch (error) {
      const reason = String(error)
      if (reason === this.#problem) return undefined
      this.#problem = reason
      const { logger, name, paths } = this.#options
      logger.error({ name, paths, reason }, 'changed files are no good; what was loaded before stays')
      return undefined
    }
  }
}

const readAll = (paths: readonly string[]): Promise<Buffer[]> => Promise.all(paths.map(readSmall))

async function readSmall(path: string): Promise<Buffer> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    if (size > maxBytes) throw new Error(`${path} is larger than ${maxBytes} bytes`)
    // One byte more than there should be: a file that grows meanwhile is read at the next look.
    const { bytesRead, buffer } = await file.read(Buffer.alloc(size + 1), 0, size + 1, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}
