import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

/** Says that it runs, then turns a deaf ear to every signal, as npm does while it unpacks. */
const deafNpm = `#!/bin/sh
trap '' INT TERM HUP
echo $$ >> npm.pids
while true; do sleep 0.05; done
`

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

let directory: string
let started: ChildProcess[]

/** The launcher in a project that has nothing installed, with the npm above. */
const launch = (): { readonly child: ChildProcess; readonly output: () => string } => {
  const child = spawn(process.execPath, [join(directory, 'deploy', 'local', 'launch.mjs'), 'true'], {
    env: { PATH: `${join(directory, 'bin')}:/usr/bin:/bin` },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  started.push(child)
  return { child, output: () => output }
}

const npmPids = async (): Promise<number[]> => {
  const path = join(directory, 'npm.pids')
  if (!existsSync(path)) return []
  return (await readFile(path, 'utf8')).trim().split('\n').map(Number)
}

/** Waits until it stops throwing; generous, because a busy machine is no failure. */
const eventually = <T>(condition: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(condition, { timeout: 20_000 })

const npmPid = (): Promise<number> =>
  eventually(async () => {
    const [pid] = await npmPids()
    if (pid === undefined || pid === 0) throw new Error('npm does not run yet')
    return pid
  })

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waymark-launch-'))
  started = []
  await mkdir(join(directory, 'deploy', 'local'), { recursive: true })
  await mkdir(join(directory, 'bin'))
  await copyFile(
    fileURLToPath(new URL('launch.mjs', import.meta.url)),
    join(directory, 'deploy', 'local', 'launch.mjs'),
  )
  for (const name of ['package.json', 'package-lock.json']) await writeFile(join(directory, name), '{}')
  await writeFile(join(directory, 'bin', 'npm'), deafNpm)
  await chmod(join(directory, 'bin', 'npm'), 0o755)
})

afterEach(async () => {
  for (const child of started) child.kill('SIGKILL')
  for (const pid of await npmPids()) if (isRunning(pid)) process.kill(pid, 'SIGKILL')
  await rm(directory, { recursive: true, force: true })
})

describe('launch.mjs', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('ends with its npm at %s during an install', async signal => {
    const { child } = launch()
    const pid = await npmPid()
    const ended = once(child, 'exit')
    child.kill(signal)
    expect(await ended).toEqual([130, null])
    expect(isRunning(pid)).toBe(false)
  })

  it('waits for the npm of a launcher that was killed', async () => {
    const first = launch()
    const pid = await npmPid()
    // It runs before the lock names it.
    await eventually(async () => {
      expect(await readFile(join(directory, '.cache', 'install.lock'), 'utf8')).toContain(String(pid))
    })
    const killed = once(first.child, 'exit')
    first.child.kill('SIGKILL')
    await killed
    const second = launch()
    await eventually(() => {
      expect(second.output()).toMatch(/installs? the dependencies|installing dependencies/)
    })
    expect(second.output()).toContain('waiting for another process')
    expect(await npmPids()).toHaveLength(1)
  })
})
