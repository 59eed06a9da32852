/** The anchor of `fanout` behind the commands of the other servers: go-control-plane's LinearCache, see anchor/main.go. */
import { execFile, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { answerQuestions } from '../bench-process.ts'
import { endpointsBody, portsInTurn } from './endpoints-body.ts'
import type { FanOutHandlers, FanOutRound, ServerMemory } from './fan-out-server.ts'

const source = fileURLToPath(import.meta.resolve('../anchor/main.go'))

/** Changes are encoded beforehand, as many as there are endpoints; then they begin anew. */
const build = async (): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'waymark-anchor-'))
  const program = join(directory, 'anchor')
  await promisify(execFile)('go', ['build', '-o', program, '.'], { cwd: join(source, '..') })
  process.once('exit', () => {
    child?.kill()
  })
  return program
}

let child: ReturnType<typeof spawn> | null = null
let lines: AsyncIterator<string> | null = null

const answer = async <T>(): Promise<T> => {
  const next = await lines?.next()
  if (next === undefined || next.done === true) throw new Error('the anchor has ended')
  return JSON.parse(next.value) as T
}

const ask = <T>(command: object): Promise<T> => {
  child?.stdin?.write(`${JSON.stringify(command)}\n`)
  return answer<T>()
}

const handlers: FanOutHandlers = {
  start: async ({ service, endpoints }) => {
    const program = await build()
    child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] })
    if (child.stdout === null) throw new Error('the anchor has no output')
    lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const port = await answer<number>()
    // It is in memory by now.
    await rm(join(program, '..'), { recursive: true })
    const assignments = Array.from({ length: endpoints }, (_, turn) =>
      Buffer.from(endpointsBody(service, portsInTurn(endpoints, turn))).toString('base64'),
    )
    await ask<boolean>({ assignments })
    return port
  },
  round: options => ask<FanOutRound>({ round: options }),
  memory: options => ask<ServerMemory>({ memory: options }),
}

answerQuestions(handlers)
