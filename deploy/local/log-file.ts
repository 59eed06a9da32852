import { closeSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Readable } from 'node:stream'

export interface LogFileOptions {
  readonly path: string
  /** At this size the file becomes `{path}.1` (replacing the last one) and a new one begins. */
  readonly maxBytes?: number
  /** Lines kept in memory, for messages about a process that failed. */
  readonly tailLines?: number
}

const longestLine = 16 * 1_024

/** The output of one process: a file bounded in size, and its last lines. */
export class LogFile {
  readonly path: string
  readonly #maxBytes: number
  readonly #tailLines: number
  readonly #tail: string[] = []
  #fd: number
  #size: number
  #open = true
  /** Lines that could not be written since the last one that could. */
  #lost = 0

  constructor({ path, maxBytes = 4 * 1_024 * 1_024, tailLines = 30 }: LogFileOptions) {
    this.path = path
    this.#maxBytes = maxBytes
    this.#tailLines = tailLines
    mkdirSync(dirname(path), { recursive: true })
    this.#fd = openSync(path, 'a', 0o600)
    this.#size = statSync(path).size
  }

  /** The last lines, oldest first. */
  get tail(): readonly string[] {
    return this.#tail
  }

  line(text: string): void {
    if (!this.#open) return
    this.#tail.push(text)
    if (this.#tail.length > this.#tailLines) this.#tail.shift()
    try {
      if (this.#size >= this.#maxBytes) this.#rotate()
      if (this.#lost > 0) this.#write(`(${this.#lost} lines were lost: they could not be written)`)
      this.#lost = 0
      this.#write(text)
    } catch {
      // A full disk must not end whoever keeps the log; the lines that matter are still in memory.
      this.#lost += 1
    }
  }

  /** Takes the lines of a stream until it ends. `onLine` sees each as well. */
  follow(stream: Readable, onLine?: (line: string) => void): void {
    let rest = ''
    const take = (line: string): void => {
      this.line(line)
      onLine?.(line)
    }
    stream.setEncoding('utf8')
    stream.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) take(line)
      if (rest.length > longestLine) {
        take(rest)
        rest = ''
      }
    })
    stream.on('end', () => {
      if (rest !== '') take(rest)
    })
    // The process at the other end has gone; its exit is reported elsewhere.
    stream.on('error', () => undefined)
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    closeSync(this.#fd)
  }

  #write(text: string): void {
    this.#size += writeSync(this.#fd, `${text}\n`)
  }

  #rotate(): void {
    renameSync(this.path, `${this.path}.1`)
    const before = this.#fd
    this.#fd = openSync(this.path, 'a', 0o600)
    this.#size = 0
    closeSync(before)
  }
}
