/**
 * A gRPC program without a sidecar. Its process is its own because the library reads GRPC_XDS_BOOTSTRAP once. The parent
 * sends it `GrpcCommand`s, each of which gets a `GrpcAnswer`.
 */
import { credentials, Metadata, ServerCredentials, status, type ServiceError } from '@grpc/grpc-js'
import { register, XdsServer } from '@grpc/grpc-js-xds'
import { GreeterClient, serveGreeter } from './grpc-greeter.ts'

export interface GrpcCalls {
  readonly target: string
  readonly count: number
  /** Calls at the same time. Default 1. */
  readonly clients?: number
  readonly deadlineMs?: number
  readonly metadata?: Readonly<Record<string, string>>
  /** Wait for the first configuration instead of failing. Default true. */
  readonly waitForReady?: boolean
}

export type GrpcCommand = { readonly id: number } & (
  | { readonly do: 'call'; readonly calls: GrpcCalls }
  /** Calls until told to report and end. */
  | { readonly do: 'load'; readonly calls: Omit<GrpcCalls, 'count'> }
  | { readonly do: 'report' }
  /** Answers when it serves. */
  | { readonly do: 'serve'; readonly address: string; readonly name: string }
)

/** How many calls had this outcome: `payments-1` who answered, or `UNAVAILABLE: words`. */
export type GrpcTally = Record<string, number>

export interface GrpcAnswer {
  readonly id: number
  readonly tally?: GrpcTally
  readonly error?: string
}

type Hello = (
  request: string,
  metadata: Metadata,
  options: { deadline: number },
  callback: (error: ServiceError | null, answer?: string) => void,
) => void

register()
type Greeter = InstanceType<typeof GreeterClient>

const servers: XdsServer[] = []
const clients = new Map<string, Greeter>()

const clientOf = (target: string): Greeter => {
  let client = clients.get(target)
  if (client === undefined) {
    client = new GreeterClient(target, credentials.createInsecure())
    clients.set(target, client)
  }
  return client
}

const callOnce = ({
  target,
  deadlineMs = 10_000,
  metadata = {},
  waitForReady = true,
}: Omit<GrpcCalls, 'count'>) =>
  new Promise<string>(resolve => {
    const client = clientOf(target)
    const headers = new Metadata({ waitForReady })
    for (const [key, value] of Object.entries(metadata)) headers.set(key, value)
    const hello = client['hello'] as Hello
    hello.call(client, 'hello', headers, { deadline: Date.now() + deadlineMs }, (error, answer = '') => {
      resolve(error === null ? answer : `${status[error.code]}: ${error.details}`)
    })
  })

/** Calls as long as `more` says. */
const callMany = async (calls: Omit<GrpcCalls, 'count'>, tally: GrpcTally, more: () => boolean) => {
  const client = async () => {
    while (more()) {
      const outcome = await callOnce(calls)
      tally[outcome] = (tally[outcome] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: calls.clients ?? 1 }, client))
}

let load: { readonly tally: GrpcTally; readonly done: Promise<void>; stopped: boolean } | null = null

const serve = ({ address, name }: { address: string; name: string }): Promise<void> =>
  new Promise((resolve, reject) => {
    const server = new XdsServer()
    servers.push(server)
    serveGreeter(server, name, () => ({}))
    server.bindAsync(address, ServerCredentials.createInsecure(), error => {
      if (error === null) resolve()
      else reject(error)
    })
  })

const run = async (command: GrpcCommand): Promise<GrpcTally> => {
  const tally: GrpcTally = {}
  switch (command.do) {
    case 'call': {
      let left = command.calls.count
      await callMany(command.calls, tally, () => left-- > 0)
      return tally
    }
    case 'load': {
      const started = { tally, done: Promise.resolve(), stopped: false }
      started.done = callMany(command.calls, tally, () => !started.stopped)
      load = started
      return {}
    }
    case 'report': {
      if (load === null) return {}
      load.stopped = true
      await load.done
      return load.tally
    }
    case 'serve':
      await serve(command)
      return {}
  }
}

process.on('message', (command: GrpcCommand) => {
  run(command).then(
    tally => process.send?.({ id: command.id, tally } satisfies GrpcAnswer),
    (error: unknown) => process.send?.({ id: command.id, error: String(error) } satisfies GrpcAnswer),
  )
})
// The parent has gone: nothing may keep this process alive.
process.once('disconnect', () => {
  if (load !== null) load.stopped = true
  for (const client of clients.values()) client.close()
  for (const server of servers) server.forceShutdown()
})
