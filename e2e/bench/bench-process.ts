import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Host } from '../harness/network.ts'

/** What a process of a benchmark can be asked. One argument each, plain data both ways. */
export type Handlers = Readonly<Record<string, (argument: never) => unknown>>

interface Question {
  readonly id: number
  readonly command: string
  readonly argument: unknown
}

interface Answer {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

/** Answers questions until the process that asks has gone. Called once, by the program of a bench process. */
export const answerQuestions = (handlers: Handlers): void => {
  const answer = async ({ id, command, argument }: Question): Promise<Answer> => {
    try {
      const handler = handlers[command]
      if (handler === undefined) throw new Error(`there is no command ${command}`)
      return { id, result: await handler(argument as never) }
    } catch (error) {
      return { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    }
  }
  process.on('message', message => {
    void answer(message as Question).then(reply => process.send?.(reply))
  })
  process.once('disconnect', () => {
    process.exit(0)
  })
  process.once('SIGTERM', () => {
    process.exit(0)
  })
}

export interface BenchProcessOptions {
  /** Path of a program that calls `answerQuestions`. */
  readonly program: string
  readonly nodeOptions?: readonly string[]
  /** More of its environment. */
  readonly env?: NodeJS.ProcessEnv
  /** The host that it runs on, with a network of its own; absent: this one. */
  readonly host?: Host
}

/** A process that takes part in a benchmark: a load generator, a server. It ends with `stop` or with its parent. */
export class BenchProcess<H extends Handlers> {
  readonly #child: ChildProcess
  readonly #waiting = new Map<
    number,
    { resolve: (result: unknown) => void; reject: (error: Error) => void }
  >()
  #lastId = 0

  constructor({ program, nodeOptions = [], env = {}, host }: BenchProcessOptions) {
    const node = ['--disable-warning=ExperimentalWarning', ...nodeOptions]
    const apart = host?.command(process.execPath, node)
    this.#child = fork(program, {
      ...(apart === undefined ? {} : { execPath: apart.command }),
      execArgv: [...(apart?.args ?? node)],
      serialization: 'advanced',
      env: { ...process.env, ...env },
    })
    this.#child.on('message', message => {
      const { id, result, error } = message as Answer
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(result)
      else waiting?.reject(new Error(error))
    })
    this.#child.on('exit', (code, signal) => {
      const gone = new Error(`${program} has ended (${signal ?? code ?? 'unknown'})`)
      for (const { reject } of this.#waiting.values()) reject(gone)
      this.#waiting.clear()
    })
  }

  get pid(): number {
    const { pid } = this.#child
    if (pid === undefined) throw new Error('the process could not be started')
    return pid
  }

  ask<C extends keyof H & string>(
    command: C,
    argument: Parameters<H[C]>[0],
  ): Promise<Awaited<ReturnType<H[C]>>> {
    this.#lastId += 1
    const id = this.#lastId
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, {
        // What the handler of this command returned, copied.
        resolve: result => {
          resolve(result as Awaited<ReturnType<H[C]>>)
        },
        reject,
      })
      this.#child.send({ id, command, argument } satisfies Question, error => {
        if (error !== null && this.#waiting.delete(id)) reject(error)
      })
    })
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    await ended
  }
}
