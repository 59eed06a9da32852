import type { Revision } from '../../domain/revision.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Component } from '../../runtime/component.ts'
import type { Logger } from '../../runtime/logger.ts'
import { XdsRefusedError, type XdsNode, type XdsPeer, type XdsSource, type XdsView } from '../port.ts'
import type { Authorizer } from './authorizer.ts'

/** What the authorizer has refused since the start. */
export interface AccessCounters {
  /** No credential, or none of ours. */
  unauthenticated: number
  /** The credential is of another service. */
  denied: number
  /** Open streams that were ended since their credential counts no more. */
  revoked: number
}

export interface AuthorizedSourceOptions {
  readonly source: XdsSource
  readonly authorizer: Authorizer
  /** The service as which the source serves a node; undefined: none. Throws XdsRefusedError for a node that is no good. */
  readonly serviceOf: (node: XdsNode) => string | undefined
  readonly clock: Clock
  readonly logger: Logger
  /** Between two looks at the credentials of open streams. Default 30 s. */
  readonly everyMs?: number
}

interface Opened {
  readonly service: string | undefined
  readonly peer: XdsPeer
  refuse: ((error: XdsRefusedError) => void) | undefined
}

/** Checked in one turn of the event loop. */
const slice = 200
/** Refusals that are logged in `logWindowMs`; the others are counted. */
const logLimit = 20
const logWindowMs = 10_000

/**
 * A source that opens a view only for a peer who may speak for the node (X25), and ends the streams whose credential
 * has expired or been withdrawn. Every service that opens a view is covered: ADS, the separate services, load reports.
 */
export class AuthorizedSource implements XdsSource, Component {
  readonly name = 'xDS authorization'
  readonly counters: AccessCounters = { unauthenticated: 0, denied: 0, revoked: 0 }
  readonly #options: AuthorizedSourceOptions
  readonly #opened = new Set<Opened>()
  #logged = 0
  #loggedSince = 0

  constructor(options: AuthorizedSourceOptions) {
    this.#options = options
  }

  ready(): Promise<void> {
    return this.#options.source.ready()
  }

  revision(): Revision {
    return this.#options.source.revision()
  }

  onRevision(listener: (revision: Revision, committedAt?: number) => void): () => void {
    return this.#options.source.onRevision(listener)
  }

  open(node: XdsNode, peer: XdsPeer): XdsView {
    const service = this.#options.serviceOf(node)
    this.#check(
      node.id,
      () => {
        this.#options.authorizer.authorize(service, peer)
      },
      peer,
    )
    const view = this.#options.source.open(node, peer)
    const opened: Opened = { service, peer, refuse: undefined }
    this.#opened.add(opened)
    return {
      set: typeUrl => view.set(typeUrl),
      onRefused: listener => {
        opened.refuse = listener
        view.onRefused?.(listener)
      },
      close: () => {
        this.#opened.delete(opened)
        view.close()
      },
    }
  }

  /** For services that show every node. Throws XdsRefusedError. */
  authorizeAll(peer: XdsPeer): void {
    this.#check(
      undefined,
      () => {
        this.#options.authorizer.authorizeAll(peer)
      },
      peer,
    )
  }

  async start(signal: AbortSignal): Promise<void> {
    const { clock, everyMs = 30_000 } = this.#options
    while (!signal.aborted) {
      await clock.sleep(everyMs, signal)
      await this.recheck()
    }
  }

  /** The single step of the loop: ends the open streams whose credential would be refused now. */
  async recheck(): Promise<void> {
    let checked = 0
    for (const { service, peer, refuse } of [...this.#opened]) {
      try {
        this.#options.authorizer.authorize(service, peer)
      } catch (error) {
        if (!(error instanceof XdsRefusedError)) throw error
        this.counters.revoked += 1
        refuse?.(error)
      }
      checked += 1
      if (checked % slice === 0)
        await new Promise<void>(resolve => {
          this.#options.clock.soon(resolve)
        })
    }
  }

  #check(node: string | undefined, authorize: () => void, peer: XdsPeer): void {
    try {
      authorize()
    } catch (error) {
      if (error instanceof XdsRefusedError) this.#refused(error, node, peer)
      throw error
    }
  }

  /** Anyone can cause a refusal, as often as they like; the log must not grow with it. */
  #refused(error: XdsRefusedError, node: string | undefined, { address, spiffeIds }: XdsPeer): void {
    if (error.status === 16) this.counters.unauthenticated += 1
    else this.counters.denied += 1
    const { clock, logger } = this.#options
    const now = clock.monotonic()
    if (now - this.#loggedSince >= logWindowMs) {
      this.#logged = 0
      this.#loggedSince = now
    }
    this.#logged += 1
    if (this.#logged > logLimit) return
    const { unauthenticated, denied } = this.counters
    logger.warn(
      { node: node?.slice(0, 200), peer: address, spiffeIds, reason: error.message, unauthenticated, denied },
      'refused a peer of the xDS port',
    )
  }
}
