import { connect, type Socket } from 'node:net'
import { machineTime } from '../../harness/machine-time.ts'

/** When the first bytes came that name this revision (ms of `machineTime`), by revision. */
export type Arrivals = Map<number, number[]>

/** What one of all sockets has read; it is looked at before the next one reads. */
const readSize = 65_536

/** Connects; `onBytes` sees what comes, in a buffer that all share: a stream per socket would cost as much again. */
const open = async (
  url: string,
  shared: Buffer,
  onBytes: (bytes: Buffer) => void,
): Promise<{ socket: Socket; host: string }> => {
  const { hostname, port, host } = new URL(url)
  const socket = connect({
    host: hostname,
    port: Number(port),
    noDelay: true,
    onread: {
      buffer: shared,
      callback: (length, buffer) => {
        onBytes(Buffer.from(buffer.buffer, buffer.byteOffset, length))
        return true
      },
    },
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.once('connect', resolve)
  })
  socket.on('error', () => undefined)
  return { socket, host }
}

/**
 * Watchers and blocking queries of one server. They note when they hear of a revision, and look at no more of what
 * comes than that takes: they share the machine with who answers.
 */
export class WatchLoad {
  readonly watched: Arrivals = new Map()
  readonly queried: Arrivals = new Map()
  readonly #url: string
  readonly #sockets: Socket[] = []
  readonly #shared = Buffer.alloc(readSize)
  /** Queries to be asked again once all that has come is noted. */
  #again: (() => void)[] = []

  constructor(url: string) {
    this.#url = url
  }

  /** A watcher of server-sent events. Resolves when it has heard anything. */
  async openWatcher(path: string): Promise<void> {
    const begun = Promise.withResolvers<undefined>()
    let rest = ''
    const { socket, host } = await open(this.#url, this.#shared, bytes => {
      const at = machineTime()
      begun.resolve(undefined)
      const text = rest + bytes.toString('latin1')
      const end = text.lastIndexOf('\n\n')
      rest = text.slice(end < 0 ? 0 : end + 2)
      if (end < 0) return
      for (const [, id] of text.slice(0, end).matchAll(/^id: (\d+)\nevent: change$/gm))
        note(this.watched, Number(id), at)
    })
    this.#sockets.push(socket)
    socket.write(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`)
    await begun.promise
  }

  /** A blocking query that asks again with the revision of each answer. */
  async openQuery(path: string, index: number): Promise<void> {
    let current = index
    let missing = 0
    let head = ''
    let firstAt = 0
    const again = (): void => {
      socket.write(`GET ${path}&index=${current} HTTP/1.1\r\nhost: ${host}\r\n\r\n`)
    }
    const { socket, host } = await open(this.#url, this.#shared, bytes => {
      let body = bytes.length
      if (missing === 0) {
        if (head === '') firstAt = machineTime()
        head += bytes.toString('latin1', 0, 2_048)
        const end = head.indexOf('\r\n\r\n')
        if (end < 0) return
        missing = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
        const revision = Number(/\r\nx-waymark-revision: *(\d+)/i.exec(head)?.[1] ?? 0)
        body -= end + 4
        head = ''
        if (revision > current) note(this.queried, revision, firstAt)
        current = Math.max(current, revision)
      }
      missing -= body
      if (missing === 0) this.#askAgain(again)
    })
    this.#sockets.push(socket)
    again()
  }

  close(): void {
    for (const socket of this.#sockets.splice(0)) socket.destroy()
  }

  #askAgain(ask: () => void): void {
    if (this.#again.length === 0)
      setImmediate(() => {
        const all = this.#again
        this.#again = []
        for (const one of all) one()
      })
    this.#again.push(ask)
  }
}

const note = (arrivals: Arrivals, revision: number, at: number): void => {
  const known = arrivals.get(revision)
  if (known === undefined) arrivals.set(revision, [at])
  else known.push(at)
}
