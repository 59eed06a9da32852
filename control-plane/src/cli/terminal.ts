import { createReadStream } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { systemClock, type Clock } from '../runtime/clock.ts'

/** Everything a command touches besides the API; tests bring their own. */
export interface Terminal {
  out(text: string): void
  err(text: string): void
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  /** A person looks at it. */
  readonly colours?: boolean
  /** Characters of a line; absent where lines are not broken. */
  readonly width?: number
  /** `-` is the standard input. */
  read(file: string): Promise<string>
  /** The same, piece by piece: for files of any length. */
  open(file: string): AsyncIterable<Buffer>
  write(file: string, content: string): Promise<void>
}

/** The terminal of this process. A reader that goes away (`| head`) ends the command, not with an error. */
export const systemTerminal = ({
  stdin,
  stdout,
  stderr,
  env,
  exit,
}: Pick<NodeJS.Process, 'stdin' | 'stdout' | 'stderr' | 'env' | 'exit'>): Terminal => {
  stdout.on('error', (error: Error & { readonly code?: string }) => {
    if (error.code !== 'EPIPE') throw error
    // Else a command that follows something would go on for ever.
    exit()
  })
  return {
    out: line => {
      stdout.write(`${line}\n`)
    },
    err: line => {
      stderr.write(`${line}\n`)
    },
    env,
    clock: systemClock,
    ...(stdout.isTTY ? { colours: env.NO_COLOR === undefined, width: stdout.columns } : {}),
    read: file => (file === '-' ? text(stdin) : readFile(file, 'utf8')),
    open: file => (file === '-' ? stdin : createReadStream(file)),
    write: (file, content) => writeFile(file, content),
  }
}
