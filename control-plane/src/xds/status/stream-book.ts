import type { Revision } from '../../domain/revision.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { CollectedNodes, StatusListener, StreamRegistry } from '../transport/stream-registry.ts'
import type { XdsStream } from '../transport/xds-stream.ts'
import { heldResources, type ClientView } from './held-resources.ts'
import type { ResourceStatus, StreamStatus } from './status.ts'
import { glanceAt, type StreamGlance } from './stream-glance.ts'
import { resourceStatuses, streamStatus } from './stream-status.ts'

export interface StreamBookOptions {
  readonly registry: StreamRegistry
  /** The current one of the source. */
  readonly revision: () => Revision
  /** Streams that a large change has touched and that wait for their turn. */
  readonly waiting: () => Iterable<XdsStream>
  readonly clock: Clock
}

/** What is known of the clients of a server, by the ids of their nodes. */
export class StreamBook {
  readonly #options: StreamBookOptions

  constructor(options: StreamBookOptions) {
    this.#options = options
  }

  get nodes(): Iterable<string> {
    return this.#options.registry.nodes
  }

  /** What is known of each node by its newest stream, or by the newest of each type where they are separate. */
  streams(): StreamStatus[] {
    return [...this.#options.registry.nodes].flatMap(node => this.stream(node) ?? [])
  }

  stream(node: string): StreamStatus | undefined {
    const { registry, revision, clock } = this.#options
    return streamStatus({ streams: registry.find(node), rivals: registry.rivals(node) }, revision(), clock)
  }

  /** What `stream` tells in numbers; undefined when only that tells. Costs the types of the stream. */
  glance(node: string): StreamGlance | undefined {
    const stream = this.#options.registry.only(node)
    return stream && glanceAt(stream, this.#options.revision())
  }

  /** What this node has been sent and what it has ACKed; empty when it has no stream here. */
  resources(node: string): ResourceStatus[] {
    return resourceStatuses(this.#options.registry.find(node), this.#options.clock)
  }

  /** The clients that are connected. */
  clients(): ClientView[] {
    return [...this.#options.registry.nodes].flatMap(node => this.client(node) ?? [])
  }

  client(id: string): ClientView | undefined {
    const { registry, clock } = this.#options
    const streams = registry.find(id)
    const node = streams[0]?.node
    const resources = () => heldResources({ deliveries: streams.flatMap(each => each.deliveries) }, clock)
    return node && { node, resources }
  }

  /** Calls `listener` with the nodes whose status may have changed. Returns the call that ends it. */
  onStatus(listener: StatusListener): () => void {
    return this.#options.registry.listen(listener)
  }

  /**
   * Collects the nodes whose status may have changed, calls `onFirst` when there are some. What is in sync, and not
   * among those that are taken, has all of the source's revision of that moment.
   */
  collect(onFirst: () => void): CollectedNodes {
    return this.#options.registry.collect(onFirst, this.#options.waiting)
  }
}
