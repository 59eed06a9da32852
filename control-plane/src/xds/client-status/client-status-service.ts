import { status, type sendUnaryData, type ServerDuplexStream, type ServerUnaryCall } from '@grpc/grpc-js'
import {
  ClientStatusDiscoveryServiceService as generated,
  ClientStatusRequest,
} from '@envoyproxy/protos/envoy/service/status/v3/csds.ts'
import type { Clock } from '../../runtime/clock.ts'
import { XdsRefusedError, type XdsPeer } from '../port.ts'
import { Pace } from '../push/pace.ts'
import type { ClientView } from '../status/held-resources.ts'
import type { ExtraService } from '../transport/extra-service.ts'
import { peerOf } from '../transport/peer.ts'
import { RequestReader } from '../transport/request-reader.ts'
import { statusError } from '../transport/status-error.ts'
import { withoutCodecs } from '../transport/without-codecs.ts'
import { encodeClientNode, encodeClientResource, joinResponse } from './encode-client.ts'
import { nodePredicate } from './node-matchers.ts'

/**
 * Answers are put together by hand, from parts that are encoded one by one. Requests are read by hand too: bytes that make no
 * sense are to be answered INVALID_ARGUMENT.
 */
const definition = {
  streamClientStatus: {
    ...generated.streamClientStatus,
    ...withoutCodecs,
  },
  fetchClientStatus: {
    ...generated.fetchClientStatus,
    ...withoutCodecs,
  },
} as const

export interface ClientStatusOptions {
  /** The clients that are connected now. */
  readonly clients: () => Iterable<ClientView>
  readonly clock: Clock
  /** Whether this peer may see every client (X25); throws XdsRefusedError. Default: everybody may. */
  readonly authorize?: (peer: XdsPeer) => void
  /** A larger answer is refused. gRPC clients take 4 MiB unless they are told otherwise. */
  readonly maxResponseBytes?: number
  /** Answers that are being made at once. */
  readonly maxRequests?: number
  readonly maxStreams?: number
}

export interface ClientStatusCounters {
  requests: number
  /** Requests that were answered with an error. */
  refused: number
  /** Of answers. */
  bytes: number
}

/** Resources that are encoded before the event loop gets its turn. */
const sliceResources = 200

class AnswerTooLargeError extends Error {
  override readonly name = 'AnswerTooLargeError'
}

/** CSDS: tells tools what the clients of this server have. */
export class ClientStatusService implements ExtraService {
  readonly definition = definition
  readonly implementation = {
    streamClientStatus: (call: ServerDuplexStream<Buffer, Buffer>): void => {
      this.#stream(call)
    },
    fetchClientStatus: (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>): void => {
      this.#answer(call.request, call).then(
        response => {
          answer(null, response)
        },
        (error: unknown) => {
          answer(statusOf(error))
        },
      )
    },
  }
  readonly counters: ClientStatusCounters = { requests: 0, refused: 0, bytes: 0 }
  readonly #options: Required<ClientStatusOptions>
  readonly #calls = new Set<ServerDuplexStream<Buffer, Buffer>>()
  readonly #pace: Pace
  #answering = 0
  #stopping = false

  constructor(options: ClientStatusOptions) {
    this.#options = {
      maxResponseBytes: 16 * 1024 * 1024,
      maxRequests: 4,
      maxStreams: 16,
      authorize: () => undefined,
      ...options,
    }
    this.#pace = new Pace({ clock: options.clock, figures: { paced: 0 } })
  }

  stop(): void {
    this.#stopping = true
    for (const call of this.#calls) end(call, status.UNAVAILABLE, 'the control plane is stopping')
  }

  /** One answer for each request, in their order: the next is read when the last has been answered. */
  #stream(call: ServerDuplexStream<Buffer, Buffer>): void {
    if (this.#stopping) {
      end(call, status.UNAVAILABLE, 'the control plane is stopping')
      return
    }
    if (this.#calls.size >= this.#options.maxStreams) {
      end(call, status.RESOURCE_EXHAUSTED, `more than ${this.#options.maxStreams} CSDS streams`)
      return
    }
    this.#calls.add(call)
    let ended = false
    let busy = false
    for (const event of ['cancelled', 'error', 'close']) call.on(event, () => this.#calls.delete(call))
    call.on('end', () => {
      ended = true
      if (!busy) call.end()
    })
    const reader: RequestReader = new RequestReader({
      call,
      pace: this.#pace,
      clock: this.#options.clock,
      onMessage: request => {
        reader.hold()
        busy = true
        take(request)
      },
      onGreedy: () => {
        end(call, status.RESOURCE_EXHAUSTED, 'the requests of this stream take too much time')
      },
    })
    const take = (request: Buffer): void => {
      this.#answer(request, call).then(
        response => {
          busy = false
          if (!this.#calls.has(call)) return
          call.write(response)
          if (ended) call.end()
          else reader.release()
        },
        (error: unknown) => {
          const { code, details } = statusOf(error)
          if (this.#calls.has(call)) end(call, code, details)
        },
      )
    }
    reader.start()
  }

  /** Counted. */
  async #answer(request: Buffer, call: Parameters<typeof peerOf>[0]): Promise<Buffer> {
    const { counters } = this
    counters.requests += 1
    try {
      const response = await this.#find(request, call)
      counters.bytes += response.length
      return response
    } catch (error) {
      counters.refused += 1
      throw error
    }
  }

  async #find(request: Buffer, call: Parameters<typeof peerOf>[0]): Promise<Buffer> {
    const { clients, maxRequests, authorize } = this.#options
    authorize(peerOf(call))
    const { nodeMatchers, excludeResourceContents } = decode(request)
    const fits = nodePredicate(nodeMatchers)
    if (this.#answering >= maxRequests) {
      throw new AnswerTooLargeError(`${maxRequests} requests are being answered already; try again`)
    }
    this.#answering += 1
    try {
      const wanted = [...clients()].filter(({ node }) => fits(node.id))
      return await this.#encode(wanted, !excludeResourceContents)
    } finally {
      this.#answering -= 1
    }
  }

  async #encode(clients: readonly ClientView[], contents: boolean): Promise<Buffer> {
    const { clock, maxResponseBytes } = this.#options
    const encoded: Uint8Array[][] = []
    let bytes = 0
    let slice = 0
    for (const client of clients) {
      const parts = [encodeClientNode(client.node)]
      encoded.push(parts)
      bytes += parts[0]?.length ?? 0
      // The list is of one moment; its resources never change.
      for (const resource of [...client.resources()]) {
        const part = encodeClientResource(resource, contents)
        parts.push(part)
        bytes += part.length
        if (bytes > maxResponseBytes) {
          throw new AnswerTooLargeError(
            `the answer is larger than ${maxResponseBytes} bytes: ask for fewer nodes, or set exclude_resource_contents`,
          )
        }
        slice += 1
        if (slice % sliceResources === 0)
          await new Promise<void>(resolve => {
            clock.soon(resolve)
          })
      }
    }
    return joinResponse(encoded)
  }
}

function decode(request: Buffer): ClientStatusRequest {
  try {
    return ClientStatusRequest.decode(request)
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'unreadable bytes'
    throw new XdsRefusedError(status.INVALID_ARGUMENT, `malformed request: ${reason}`)
  }
}

const end = (call: ServerDuplexStream<Buffer, Buffer>, code: number, details: string): void => {
  call.emit('error', statusError(code, details))
}

function statusOf(error: unknown): { code: number; details: string } {
  if (error instanceof XdsRefusedError) return statusError(error.status, error.message)
  if (error instanceof AnswerTooLargeError) return statusError(status.RESOURCE_EXHAUSTED, error.message)
  return statusError(status.INTERNAL, 'internal error')
}
