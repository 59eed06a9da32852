import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { controlPlaneFlags } from '../local/control-plane-node.ts'

export interface CompileCacheOptions {
  /** Path of the program; the cache knows it by its place relative to `directory`. */
  readonly program: string
  readonly directory: string
  /** The user that will run the program: Node reads no cache that another one wrote. */
  readonly uid: number
}

const longestStartMs = 60_000

/**
 * Starts the control plane, with a database that nobody can reach, and ends it when it listens: Node then leaves in
 * `directory` what it has compiled. With it a container needs half the CPU to start, and never compiles what it has
 * no use for. Only for the same Node with the same flags; anything else ignores it. Throws when the program does not
 * listen.
 */
export const fillCompileCache = async ({ program, directory, uid }: CompileCacheOptions): Promise<void> => {
  const child = spawn(process.execPath, [...controlPlaneFlags, program], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      NODE_COMPILE_CACHE: directory,
      NODE_COMPILE_CACHE_PORTABLE: '1',
      DATABASE_URL: 'postgres://127.0.0.1:1/none',
      WAYMARK_HTTP_LISTEN: '127.0.0.1:0',
      WAYMARK_XDS_LISTEN: '127.0.0.1:0',
    },
  })
  const ended = once(child, 'close')
  let output = ''
  const listening = new Promise<boolean>(resolve => {
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-4_096)
        if (output.includes('"listening"')) resolve(true)
      })
    void ended.then(() => {
      resolve(false)
    })
  })
  const came = await Promise.race([listening, delay(longestStartMs, false, { ref: false })])
  child.kill('SIGTERM')
  await ended
  if (!came) throw new Error(`the program does not start: ${output}`)
  // Named after Node's version, the processor, V8's version and flags, and the user.
  const own = `-${process.getuid?.() ?? 0}`
  for (const name of await readdir(directory)) {
    const folder = join(directory, name)
    // Nobody but its user may read what Node writes.
    for (const file of await readdir(folder)) await chmod(join(folder, file), 0o644)
    await chmod(folder, 0o755)
    if (name.endsWith(own)) await rename(folder, join(directory, `${name.slice(0, -own.length)}-${uid}`))
  }
  await chmod(directory, 0o755)
}
