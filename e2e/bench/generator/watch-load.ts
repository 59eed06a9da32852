import { connect, type Socket } from 'node:net'
import { machineTime } from '../../harness/machine-time.ts'

/** When the first bytes came that name this revision (ms of `machineTime`), by revision. */
export type Arrivals = Map<number, number[]>

const open = async (url: string): Promise<{ socket: Socket; host: string }> => {
  const { hostname, port, host } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port) })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.once('connect', resolve)
  })
  socket.setNoDelay(true)
  return { socket, host }
}

const see = (arrivals: Arrivals, revision: number, at: number): void => {
  const known = arrivals.get(revision)
  if (known === undefined) arrivals.set(revision, [at])
  else known.push(at)
}

/** A watcher of server-sent events: notes when each event came. */
export const openWatcher = async (url: string, path: string, arrivals: Arrivals): Promise<Socket> => {
  const { socket, host } = await open(url)
  let rest = ''
  socket.on('data', chunk => {
    const at = machineTime()
    const text = rest + chunk.toString('latin1')
    const cut = text.lastIndexOf('\n')
    rest = text.slice(cut + 1)
    for (const [, id] of text.slice(0, cut + 1).matchAll(/^id: (\d+)\nevent: change$/gm))
      see(arrivals, Number(id), at)
  })
  socket.on('error', () => undefined)
  socket.write(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`)
  await new Promise<void>(resolve => {
    socket.once('data', () => {
      resolve()
    })
  })
  return socket
}

/** A blocking query that asks again with the revision of each answer: notes when each new answer came. */
export const openBlocking = async (
  url: string,
  path: string,
  index: number,
  arrivals: Arrivals,
): Promise<Socket> => {
  const { socket, host } = await open(url)
  let current = index
  let missing = 0
  let head = ''
  let firstAt = 0
  const ask = (): void => {
    socket.write(`GET ${path}&index=${current} HTTP/1.1\r\nhost: ${host}\r\n\r\n`)
  }
  const answered = (): void => {
    const revision = Number(/\r\nx-waymark-revision: *(\d+)/i.exec(head)?.[1] ?? 0)
    if (revision > current) see(arrivals, revision, firstAt)
    current = Math.max(current, revision)
    head = ''
    ask()
  }
  socket.on('data', chunk => {
    let body = chunk.length
    if (missing === 0) {
      if (head === '') firstAt = machineTime()
      head += chunk.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      missing = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
      body = head.length - end - 4
      head = head.slice(0, end)
    }
    missing -= body
    if (missing === 0) answered()
  })
  socket.on('error', () => undefined)
  ask()
  return socket
}
