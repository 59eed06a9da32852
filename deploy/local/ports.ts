import { createServer } from 'node:net'
import { UserError } from './user-error.ts'
import { hostPort } from '@waymark/sidecar-config/model/host-port.ts'

export interface Listen {
  readonly host: string
  readonly port: number
}

/**
 * Free ports are taken from below Linux's range for outgoing connections (32768 and up), so that the port of
 * an instance that is down for a moment is not lost to somebody's outgoing connection. Two that look for ports at the
 * same time may find the same one before either listens: `WAYMARK_PORTS=21000-22000` keeps them apart.
 */
const portRange = (): { readonly lowest: number; readonly highest: number } => {
  const text = process.env['WAYMARK_PORTS'] ?? ''
  if (text === '') return { lowest: 20_000, highest: 32_000 }
  const [, from, to] = /^(\d{4,5})-(\d{4,5})$/.exec(text) ?? []
  const [lowest, highest] = [Number(from), Number(to)]
  if (lowest >= 1_024 && lowest < highest && highest <= 65_536) return { lowest, highest }
  throw new UserError(`WAYMARK_PORTS is "${text}", which is no range of ports.`, [
    'Set it like WAYMARK_PORTS=20000-32000, or unset it.',
  ])
}

/** Reads `host:port`, `[v6]:port` or `:port`; null when it is neither. */
export const parseListen = (text: string): Listen | null => {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<host>[^:\s[\]]*)):(?<port>\d{1,5})$/.exec(text)
  if (match?.groups === undefined) return null
  const port = Number(match.groups['port'])
  if (port > 65_535) return null
  return { host: match.groups['v6'] ?? (match.groups['host'] || '0.0.0.0'), port }
}

/** Whether this process could listen there now; another may still take it first. */
export const isPortFree = ({ host, port }: Listen): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false)
      else reject(new UserError(`Cannot listen on ${hostPort({ host, port })}: ${error.message}.`))
    })
    server.listen({ host, port, exclusive: true }, () => {
      server.close(() => {
        resolve(true)
      })
    })
  })

export interface FreePortOptions {
  readonly host?: string
  /** Tried first. */
  readonly preferred?: number | undefined
  /** Never given out. */
  readonly avoid?: ReadonlySet<number>
}

export const freePort = async ({
  host = '127.0.0.1',
  preferred,
  avoid = new Set(),
}: FreePortOptions = {}): Promise<number> => {
  const usable = (port: number): Promise<boolean> =>
    avoid.has(port) ? Promise.resolve(false) : isPortFree({ host, port })
  if (preferred !== undefined && (await usable(preferred))) return preferred
  const { lowest, highest } = portRange()
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest))
    if (await usable(port)) return port
  }
  throw new UserError(`No free port was found on ${host} between ${lowest} and ${highest}.`, [
    'Close programs that listen on many ports, then try again.',
  ])
}

/** Free ports, no two alike. */
export const freePorts = async (count: number, options: FreePortOptions = {}): Promise<number[]> => {
  const taken = new Set(options.avoid)
  for (const start = taken.size; taken.size < start + count;)
    taken.add(await freePort({ ...options, avoid: taken }))
  return [...taken].slice(-count)
}

export interface ChooseListenOptions {
  /** The environment variable, `WAYMARK_HTTP_LISTEN`. */
  readonly variable: string
  readonly value: string | undefined
  readonly fallback: Listen
  readonly avoid?: ReadonlySet<number>
  /** Told when the default was taken and another port was chosen. */
  readonly onNote: (note: string) => void
}

/**
 * Where to listen. A port that the user set is used or refused by name, never replaced; a default that is
 * taken is replaced by a free one.
 */
export const chooseListen = async ({
  variable,
  value,
  fallback,
  avoid = new Set(),
  onNote,
}: ChooseListenOptions): Promise<Listen> => {
  if (value !== undefined && value !== '') {
    const wanted = parseListen(value)
    if (wanted === null)
      throw new UserError(`${variable} is "${value}", which is not host:port.`, [
        `Set it like ${variable}=${hostPort(fallback)}, or unset it.`,
      ])
    if (wanted.port === 0) return { ...wanted, port: await freePort({ host: wanted.host, avoid }) }
    if (!(await isPortFree(wanted)))
      throw new UserError(`${variable} asks for ${value}, but port ${wanted.port} is taken.`, [
        `Stop the program that listens there, or set ${variable} to another address, or unset it.`,
      ])
    return wanted
  }
  const port = await freePort({ host: fallback.host, preferred: fallback.port, avoid })
  if (port !== fallback.port)
    onNote(`port ${fallback.port} is taken: using ${port} (${variable} would set it)`)
  return { host: fallback.host, port }
}
