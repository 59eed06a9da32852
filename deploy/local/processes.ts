import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { LogFile } from './log-file.ts'
import { identifyProcess, type ProcessIdentity } from './process-identity.ts'
import { UserError } from './user-error.ts'
import { settlesWithin } from './wait.ts'

export interface ProcessEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** False when it ended without having been told to. */
  readonly expected: boolean
}

export interface StartOptions {
  /** Unique among what runs; also the name of its log file. */
  readonly name: string
  /** Groups are stopped one after the other, the last started first; a group's members together. */
  readonly group: string
  readonly command: string
  readonly args: readonly string[]
  /** The whole environment of the process. */
  readonly env: NodeJS.ProcessEnv
  /** How it is asked to stop; SIGTERM unless told otherwise. */
  readonly stopSignal?: NodeJS.Signals
}

export interface StopOptions {
  readonly signal?: NodeJS.Signals
  /** After this long it is killed. */
  readonly graceMs?: number
}

const defaultGraceMs = 8_000

/** A process that was started here: one of a group of its own, so that Ctrl-C in the terminal passes it by. */
export class ManagedProcess {
  readonly name: string
  readonly group: string
  readonly pid: number
  readonly identity: ProcessIdentity
  readonly log: LogFile
  /** Resolves when it has ended and its output has been read. */
  readonly ended: Promise<ProcessEnd>
  readonly #child: ChildProcess
  readonly #stopSignal: NodeJS.Signals
  #running = true
  #told = false

  constructor(options: StartOptions, log: LogFile) {
    const { name, group, command, args, env, stopSignal = 'SIGTERM' } = options
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env })
    // Without a listener a failed kill would end this process; the exit tells what matters.
    child.on('error', error => {
      log.line(error.message)
    })
    if (child.pid === undefined) throw new UserError(`${name} could not be started: ${command} does not run.`)
    this.name = name
    this.group = group
    this.pid = child.pid
    this.identity = identifyProcess(child.pid) ?? { pid: child.pid, started: 'ended at once' }
    this.log = log
    this.#child = child
    this.#stopSignal = stopSignal
    for (const stream of [child.stdout, child.stderr]) log.follow(stream)
    this.ended = new Promise(resolve => {
      child.once('exit', () => {
        this.#running = false
      })
      child.once('close', (code, signal) => {
        resolve({ code, signal, expected: this.#told })
      })
    })
  }

  get running(): boolean {
    return this.#running
  }

  /** For `waitFor`: an error that shows the last words of a process that has ended. */
  failed = (): Error | null =>
    this.#running
      ? null
      : new UserError(`${this.name} ended: ${this.log.tail.slice(-5).join('\n    ') || 'it said nothing'}`, [
          `Its log is ${this.log.path}.`,
        ])

  async stop({ signal = this.#stopSignal, graceMs = defaultGraceMs }: StopOptions = {}): Promise<ProcessEnd> {
    this.#told = true
    if (this.#running) this.#child.kill(signal)
    if (!(await settlesWithin(this.ended, graceMs))) this.killNow()
    return this.ended
  }

  /** SIGKILL, as a crash would do. */
  async kill(): Promise<ProcessEnd> {
    this.killNow()
    return this.ended
  }

  /** Kills it and whatever it started, without waiting. */
  killNow(): void {
    this.#told = true
    try {
      process.kill(-this.pid, 'SIGKILL')
    } catch {
      // The whole group has ended.
    }
  }
}

export interface SupervisorOptions {
  readonly logDir: string
  /** Called at once after each start and end, with what runs now. */
  readonly onChange?: (running: readonly ManagedProcess[]) => void
  /** A process ended without having been told to. */
  readonly onUnexpectedEnd?: (process: ManagedProcess, end: ProcessEnd) => void
}

/** Starts processes and makes sure that none of them stays. */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #running = new Set<ManagedProcess>()
  /** In the order in which each was started for the first time. */
  readonly #groups = new Set<string>()
  #stopping = false

  constructor(options: SupervisorOptions) {
    this.#options = options
  }

  get running(): readonly ManagedProcess[] {
    return [...this.#running]
  }

  /** Throws once `stopAll` has been called: nothing may be started behind its back. */
  start(options: StartOptions): ManagedProcess {
    if (this.#stopping)
      throw new Error(`${options.name} is not started any more: everything is being stopped`)
    const log = new LogFile({ path: join(this.#options.logDir, `${options.name}.log`) })
    const started = new ManagedProcess(options, log)
    this.#running.add(started)
    this.#groups.add(options.group)
    this.#options.onChange?.(this.running)
    void started.ended.then(end => {
      this.#running.delete(started)
      log.close()
      this.#options.onChange?.(this.running)
      if (!end.expected) this.#options.onUnexpectedEnd?.(started, end)
    })
    return started
  }

  /** Stops everything, group by group; `graceMs` bounds each group. */
  async stopAll({ graceMs = defaultGraceMs }: { readonly graceMs?: number } = {}): Promise<void> {
    this.#stopping = true
    for (const group of [...this.#groups].reverse())
      await Promise.all(this.running.filter(one => one.group === group).map(one => one.stop({ graceMs })))
  }

  /** Kills everything without waiting; for a second Ctrl-C and for the end of this process. */
  killAllNow(): void {
    this.#stopping = true
    for (const one of this.#running) one.killNow()
  }
}
