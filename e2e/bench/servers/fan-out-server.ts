/** What the servers of `fanout` can be asked, so that one benchmark runs them all. */

export interface FanOutSetup {
  /** The changed resource: endpoints of so many instances. */
  readonly service: string
  readonly endpoints: number
}

export interface FanOutRound {
  /** When each change was made (`machineTime`). */
  readonly at: readonly number[]
  /** User and system time of the process (microseconds) from the first change to the last ACK. */
  readonly cpuUs: number
  readonly elapsedMs: number
}

export interface ServerMemory {
  /** Bytes. After a garbage collection, if that was asked for. */
  readonly rss: number
}

export interface ScatterRound {
  /** User and system time of the process (microseconds) from the first write to the last ACK. */
  readonly cpuUs: number
}

/** Of the raw server only. */
export interface ScatterHandlers extends FanOutHandlers {
  /** Writes to `receivers` streams chosen at random, `changes` times, one each `everyMs`. */
  readonly scatter: (options: {
    readonly changes: number
    readonly receivers: number
    readonly everyMs: number
  }) => Promise<ScatterRound>
}

export interface FanOutHandlers extends Record<string, (argument: never) => unknown> {
  /** Resolves with the port, on loopback. */
  readonly start: (setup: FanOutSetup) => Promise<number>
  /** Makes changes one after the other, each when all streams have ACKed the last. */
  readonly round: (options: { readonly changes: number; readonly streams: number }) => Promise<FanOutRound>
  readonly memory: (options: { readonly collect: boolean }) => ServerMemory | Promise<ServerMemory>
}
