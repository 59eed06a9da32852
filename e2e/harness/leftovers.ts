/**
 * What a test run has started or made and not ended or removed. All of it can be known from the directory of the run
 * alone, so that a run that was killed can still be cleaned up after: temporary files lie below the directory, a
 * process names it in its arguments, its environment or its working directory, and a network leaves a note in it.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { commandLine } from '@waymark/deploy/local/process-identity.ts'
import { runCommand } from '@waymark/deploy/local/run-command.ts'

/** Begins the name of the file that notes a network; its end is the name of the network. */
export const networkNote = 'waymark-network-'

/** Processes get so long to end by themselves (ms). */
const graceMs = 5_000
const everyMs = 100

const quietly = (read: () => string): string => {
  try {
    return read()
  } catch {
    return ''
  }
}

const names = (pid: string, directory: string): boolean =>
  quietly(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8')).includes(directory) ||
  quietly(() => readFileSync(`/proc/${pid}/environ`, 'utf8')).includes(directory) ||
  quietly(() => readlinkSync(`/proc/${pid}/cwd`)).startsWith(directory)

/** Processes that name the directory, but for the one that asks. Where there is no `/proc`, arguments have to do. */
const processesOf = async (directory: string): Promise<number[]> => {
  const others = (pid: number): boolean => pid !== process.pid
  if (process.platform === 'linux')
    return readdirSync('/proc')
      .filter(entry => /^\d+$/.test(entry) && names(entry, directory))
      .map(Number)
      .filter(others)
  const { stdout } = await runCommand({ command: 'ps', args: ['-Axo', 'pid=,command='] })
  return stdout
    .split('\n')
    .filter(line => line.includes(directory))
    .map(line => Number.parseInt(line, 10))
    .filter(others)
}

const mountsBelow = (directory: string): string[] =>
  quietly(() => readFileSync('/proc/mounts', 'utf8'))
    .split('\n')
    .flatMap(line => line.split(' ').slice(1, 2))
    .filter(path => path.startsWith(`${directory}/`))

/** One line for each thing that is left, but for the directory itself and the process `guard`. */
export const listLeftovers = async (directory: string, guard?: number): Promise<string[]> => {
  const pids = (await processesOf(directory)).filter(pid => pid !== guard)
  const files = await readdir(directory).catch(() => [])
  return [
    ...pids.map(pid => `process ${pid}: ${commandLine(pid) ?? 'it is ending'}`),
    ...mountsBelow(directory).map(path => `mount ${path}`),
    ...files.map(file => join(directory, file)),
  ]
}

const signal = (pids: readonly number[], name: NodeJS.Signals): void => {
  for (const pid of pids)
    try {
      process.kill(pid, name)
    } catch {
      // It has ended meanwhile.
    }
}

const endProcesses = async (directory: string): Promise<void> => {
  const began = performance.now()
  for (let told: readonly number[] = []; ;) {
    const pids = await processesOf(directory)
    if (pids.length === 0) return
    if (performance.now() - began > graceMs) signal(pids, 'SIGKILL')
    else {
      // For a Postgres the quick way that leaves nothing; some may stand still, told to by a test.
      signal(
        pids.filter(pid => !told.includes(pid)),
        'SIGINT',
      )
      signal(pids, 'SIGCONT')
    }
    told = pids
    await delay(everyMs)
  }
}

const removeNetwork = async (network: string): Promise<void> => {
  const { stdout } = await runCommand({ command: 'ip', args: ['netns', 'list'] })
  const namespaces = stdout.split('\n').map(line => line.split(' ')[0] ?? '')
  for (const name of namespaces.filter(each => each.startsWith(`${network}-`)))
    await runCommand({ command: 'ip', args: ['netns', 'delete', name] })
  await runCommand({ command: 'ip', args: ['link', 'delete', network] })
}

/** Ends and removes everything, the directory as the last. */
export const endLeftovers = async (directory: string): Promise<void> => {
  await endProcesses(directory)
  for (const path of mountsBelow(directory)) await runCommand({ command: 'umount', args: ['-l', path] })
  for (const file of await readdir(directory).catch(() => []))
    if (file.startsWith(networkNote)) await removeNetwork(file.slice(networkNote.length))
  await rm(directory, { recursive: true, force: true })
}
