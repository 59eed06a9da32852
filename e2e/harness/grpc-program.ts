import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  buildGrpcBootstrap,
  type GrpcBootstrapInput,
} from '@waymark/sidecar-config/bootstrap/grpc-bootstrap.ts'
import { childEnv } from './child-env.ts'
import type { GrpcAnswer, GrpcCalls, GrpcCommand, GrpcTally } from './grpc-process.ts'

export interface GrpcProgramOptions {
  readonly bootstrap: GrpcBootstrapInput
  /** Where its bootstrap file is written. */
  readonly directory: string
  /** Instead of the node id that the bootstrap has. */
  readonly nodeId?: string
}

type Unnumbered = GrpcCommand extends infer Command
  ? Command extends GrpcCommand
    ? Omit<Command, 'id'>
    : never
  : never

const program = fileURLToPath(import.meta.resolve('./grpc-process.ts'))

/** A gRPC program without a sidecar, in a process of its own. */
export class GrpcProgram {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<GrpcTally>>()
  #stderr = ''
  #id = 0

  static async start({ bootstrap, directory, nodeId }: GrpcProgramOptions): Promise<GrpcProgram> {
    const json = buildGrpcBootstrap(bootstrap)
    if (nodeId !== undefined) json['node'] = { id: nodeId, locality: {} }
    const file = join(directory, `grpc-${bootstrap.service}-${bootstrap.instance}.json`)
    await writeFile(file, JSON.stringify(json))
    return new GrpcProgram(file)
  }

  private constructor(bootstrapFile: string) {
    const child = fork(program, [], {
      execArgv: ['--disable-warning=ExperimentalWarning'],
      env: childEnv({
        GRPC_XDS_BOOTSTRAP: bootstrapFile,
        ...(process.env['GRPC_TRACE'] && { GRPC_TRACE: process.env['GRPC_TRACE'], GRPC_VERBOSITY: 'DEBUG' }),
      }),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#child = child
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-10_000_000)
    })
    child.on('message', ({ id, tally, error }: GrpcAnswer) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(tally ?? {})
      else waiting?.reject(new Error(error))
    })
    child.once('exit', () => {
      for (const { reject } of this.#waiting.values())
        reject(new Error(`the gRPC program has ended: ${this.#stderr.slice(-2_000)}`))
      this.#waiting.clear()
    })
  }

  /** What it has written to its standard error. */
  get stderr(): string {
    return this.#stderr
  }

  /** So many calls; resolves with how many had which outcome. */
  call(calls: GrpcCalls): Promise<GrpcTally> {
    return this.#ask({ do: 'call', calls })
  }

  /** Calls without end, until `report`. */
  async load(calls: Omit<GrpcCalls, 'count'>): Promise<void> {
    await this.#ask({ do: 'load', calls })
  }

  /** Ends the load; resolves with what became of its calls. */
  report(): Promise<GrpcTally> {
    return this.#ask({ do: 'report' })
  }

  /** Serves calls as an xDS-enabled server; resolves when it does. */
  async serve(address: string, name: string): Promise<void> {
    await this.#ask({ do: 'serve', address, name })
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exit = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exit
  }

  #ask(command: Unnumbered): Promise<GrpcTally> {
    this.#id += 1
    const waiting = Promise.withResolvers<GrpcTally>()
    this.#waiting.set(this.#id, waiting)
    this.#child.send({ ...command, id: this.#id })
    return waiting.promise
  }
}
