import type { Clock } from '../../runtime/clock.ts'
import { ChangedNodes } from '../status/changed-nodes.ts'
import type { StreamMark } from '../acks/stream-mark.ts'
import type { XdsStream } from './xds-stream.ts'

/** Told which nodes' status may have changed, at most once per turn of the event loop. */
export type StatusListener = (nodes: ReadonlySet<string>) => void

/** Collects the nodes whose status may have changed. */
export interface CollectedNodes {
  /** Those since the last call, without a turn of the event loop in between. */
  take(): Set<string>
  /** See `ChangedNodes`. */
  await(node: string): void
  end(): void
}

/** The open streams, by node id too; tells who listens that the status of a node may have changed. */
export class StreamRegistry {
  readonly #clock: Clock
  readonly #streams = new Set<XdsStream>()
  readonly #unnamed = new Set<XdsStream>()
  /** The newest stream of a node is the last one. */
  readonly #byNode = new Map<string, XdsStream[]>()
  readonly #listeners = new Set<StatusListener>()
  readonly #collectors = new Set<ChangedNodes>()
  #changed = new Set<string>()
  #scheduled = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get streams(): ReadonlySet<XdsStream> {
    return this.#streams
  }

  /** Those that have not said whom they speak for. */
  get unnamed(): ReadonlySet<XdsStream> {
    return this.#unnamed
  }

  get nodes(): Iterable<string> {
    return this.#byNode.keys()
  }

  /** Open streams of a node. */
  count(node: string): number {
    return this.#byNode.get(node)?.length ?? 0
  }

  /** The stream of a node that has just one. */
  only(node: string): XdsStream | undefined {
    const all = this.#byNode.get(node)
    return all?.length === 1 ? all[0] : undefined
  }

  /**
   * The streams that now speak for a node: the newest, or where that is of a service of one type, the newest of each
   * such service. Newest first; empty: none.
   */
  find(node: string): XdsStream[] {
    const all = this.#byNode.get(node)
    if (all === undefined) return []
    if (all.length === 1) return [...all]
    const found = new Map<string, XdsStream>()
    for (const stream of all.toReversed()) {
      const { typeUrl } = stream
      if (typeUrl === undefined) return found.size === 0 ? [stream] : [...found.values()]
      if (!found.has(typeUrl)) found.set(typeUrl, stream)
    }
    return [...found.values()]
  }

  /**
   * Streams of a node beside those that speak for it, whose client has said something since: two clients that call
   * themselves the same, and not one that has connected again.
   */
  rivals(node: string): XdsStream[] {
    const all = this.#byNode.get(node)
    if (all === undefined || all.length < 2) return []
    const found = this.find(node)
    const since = Math.max(...found.map(({ connectedAt }) => connectedAt))
    return all.filter(stream => !found.includes(stream) && stream.heardAt > since)
  }

  /** Of every stream that has named its node. */
  *marks(): Iterable<StreamMark> {
    for (const { mark } of this.#streams) if (mark !== undefined) yield mark
  }

  add(stream: XdsStream): void {
    this.#streams.add(stream)
    this.#unnamed.add(stream)
  }

  /** The stream has named its node. */
  named(stream: XdsStream, node: string): void {
    this.#unnamed.delete(stream)
    const streams = this.#byNode.get(node) ?? []
    if (streams.push(stream) === 1) this.#byNode.set(node, streams)
    stream.siblings = streams
    this.#collect(node)
    this.#tell(node)
  }

  /** Something of the stream has changed. Called for every push and every answer. */
  update(stream: XdsStream): void {
    const node = stream.node?.id
    if (node === undefined) return
    const before = stream.shape.last
    const now = stream.shape.read(stream.deliveries)
    // Who shares its node with others may be the one that speaks for it, or a rival.
    if (stream.siblings.length === 1) {
      for (const nodes of this.#collectors) nodes.reshaped(node, before, now)
    } else this.#collect(node)
    this.#tell(node)
  }

  remove(stream: XdsStream): void {
    this.#streams.delete(stream)
    this.#unnamed.delete(stream)
    const node = stream.node?.id
    if (node === undefined) return
    const streams = this.#byNode.get(node)
    const at = streams?.indexOf(stream) ?? -1
    if (streams === undefined || at < 0) return
    if (streams.length === 1) this.#byNode.delete(node)
    else streams.splice(at, 1)
    this.#collect(node)
    this.#tell(node)
  }

  /** Returns the call that ends it. */
  listen(listener: StatusListener): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  /**
   * Calls `onFirst` whenever there is something to take again. `waiting`: streams that have changed and not been
   * flushed, so that `update` has not been called for them yet.
   */
  collect(onFirst: () => void, waiting: () => Iterable<XdsStream>): CollectedNodes {
    const nodes = new ChangedNodes(onFirst)
    this.#collectors.add(nodes)
    return {
      take: () => {
        const taken = nodes.take()
        for (const { node } of waiting()) if (node !== undefined) taken.add(node.id)
        return taken
      },
      await: node => {
        nodes.await(node)
      },
      end: () => {
        this.#collectors.delete(nodes)
      },
    }
  }

  #collect(node: string): void {
    for (const nodes of this.#collectors) nodes.add(node)
  }

  #tell(node: string): void {
    if (this.#listeners.size === 0) return
    this.#changed.add(node)
    if (this.#scheduled) return
    this.#scheduled = true
    this.#clock.soon(() => {
      this.#scheduled = false
      const changed = this.#changed
      this.#changed = new Set()
      for (const listener of this.#listeners) listener(changed)
    })
  }
}
