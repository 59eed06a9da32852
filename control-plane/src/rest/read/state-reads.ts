import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import { WaymarkError } from '../../domain/errors.ts'
import type { MeshScope } from '../../domain/mesh-scope.ts'
import { CompactedError, type Revision } from '../../domain/revision.ts'
import type { MeshState } from '../../mesh/mesh-state.ts'
import type { MeshView } from '../../mesh/mesh-view.ts'
import { namesTag, weakTag } from '../etag.ts'
import { revisionHeader } from '../exchange.ts'
import type { RestLimits } from '../limits.ts'
import type { PastReader } from '../ports.ts'
import type { ReadGate, ReadQuery } from '../read-gate.ts'
import { AnswerCache, type Rendered } from './answer-cache.ts'
import { notYet, parseMoment } from './moment.ts'
import { continueToken, placeOf, type PageQuery } from './page.ts'
import { compactedPast, PastStates } from './past-states.ts'
import { jsonType, prepare, sendPrepared, type Prepared } from './send-prepared.ts'
import type { Topic } from './topic.ts'

export interface StateQuery extends ReadQuery, PageQuery {
  readonly at?: string
  readonly continue?: string
}

/** What a view answers. */
export interface View {
  /** A JSON object with at least one member, without its head. */
  readonly body: object
  /** Where the next page of a list begins, see `pageOf`. */
  readonly next?: string | null
}

/** One question about the state of the mesh. */
export interface Question {
  /** Names path and filters: equal names are equal questions. */
  readonly name: string
  /** Of the present: what has to change for the answer to change. */
  readonly topic: Topic
  /** Of the past: what has to be rebuilt. */
  readonly scope: MeshScope
  /** What the answer begins with: nothing, the revision that it shows, or this and how a list goes on. */
  readonly head: 'none' | 'revision' | 'list'
  /** Items of a page; undefined: all. Pages of one list may differ in it. */
  readonly limit?: number | undefined
  /** Pure: may be called more than once. Throws WaymarkError. `after`: see `pageOf`. */
  readonly view: (mesh: MeshView, after: string | null) => View
  /** Answers for the present in place of the view: where memory alone does not. */
  readonly present?: () => Promise<object> | object | null
}

interface Options {
  readonly mesh: MeshState
  readonly gate: ReadGate
  readonly past: PastReader
  readonly limits: RestLimits
}

/**
 * Answers every question about the state in the same way: from memory at once, after a revision (`minRevision`), after
 * a change (`index`, `wait`), as of a moment (`at`), or as the next page of a list (`continue`).
 */
export class StateReads {
  readonly #options: Options
  readonly #answers: AnswerCache
  readonly #pasts: PastStates
  readonly #unsubscribe: () => void
  #closing = false

  constructor(options: Options) {
    this.#options = options
    const { mesh, gate, limits } = options
    this.#answers = new AnswerCache({
      maxBytes: limits.answerBytes,
      revision: () => mesh.revision,
      touches: topic => gate.touches(topic),
    })
    this.#pasts = new PastStates(options)
    this.#unsubscribe = mesh.onDelta(({ resynchronised }) => {
      if (resynchronised) this.#answers.clear()
    })
  }

  /** Answers from now on end their connections. */
  close(): void {
    this.#closing = true
    this.#unsubscribe()
    this.#pasts.close()
  }

  /** Sends the answer, or the error: nobody waits for it. Throws what is wrong at once. */
  send(question: Question, query: StateQuery, reply: FastifyReply): void {
    const { gate, mesh } = this.#options
    gate.ready()
    const { minRevision, index, wait, at, continue: token } = query
    if (question.present === undefined && (at ?? minRevision ?? token) === undefined) {
      if ((index ?? wait) === undefined) {
        this.#present(question, null, reply)
        return
      }
      if (index !== undefined && index <= mesh.revision) {
        this.#whenChanged(question, index, gate.waitMs(wait), reply)
        return
      }
    }
    this.#later(question, query, reply).catch((error: unknown) => {
      void reply.send(error)
    })
  }

  /** What thousands may wait for at once: without promises and signals. */
  #whenChanged(question: Question, index: Revision, waitMs: number, reply: FastifyReply): void {
    const { topic } = question
    const since = (): Revision => this.#answer(question, null).since
    const go = (): void => {
      if (reply.raw.closed) return
      try {
        this.#present(question, null, reply)
      } catch (error) {
        void reply.send(error)
      }
    }
    this.#options.gate.whenChanged({ topic, index, since, waitMs, response: reply.raw, go })
  }

  async #later(question: Question, query: StateQuery, reply: FastifyReply): Promise<void> {
    const { gate } = this.#options
    const { minRevision, index, at, continue: token } = query
    const waitMs = gate.waitMs(query.wait)
    const response = reply.raw
    if (index !== undefined && (at ?? token) !== undefined) throw pastDoesNotChange()
    if (minRevision !== undefined) await gate.reach(minRevision, waitMs, response)
    if (token !== undefined) {
      const { revision, after } = placeOf(token, question.name)
      await gate.reachIndex({ index: revision, waitMs, response })
      if (gate.changedAt(question.topic) <= revision) this.#present(question, after, reply, revision)
      else await this.#past(question, { revision, after }, reply)
    } else if (at !== undefined) {
      const revision = await this.moment(at, waitMs, response)
      await this.#past(question, { revision, after: null }, reply)
    } else {
      if (index !== undefined) {
        const since = (): Revision => this.#answer(question, null).since
        await gate.changed({ topic: question.topic, index, since, waitMs, response })
      }
      if (question.present === undefined) this.#present(question, null, reply)
      else void reply.send(await question.present())
    }
  }

  /**
   * The revision that `?at=` means, once this replica has reached it. Rejects with `invalid_request` for the future,
   * `compacted`, `revision_not_reached`, `overloaded`.
   */
  async moment(at: string, waitMs: number, response: ServerResponse): Promise<Revision> {
    const { gate, mesh, past } = this.#options
    const moment = parseMoment(at)
    const revision = 'revision' in moment ? moment.revision : await this.#revisionAt(moment.time)
    if (revision > mesh.revision) {
      const { head } = await past.bounds()
      if (revision > head) throw notYet(revision, head)
      await gate.reach(revision, waitMs, response)
    }
    return revision
  }

  /** See `PastStates.at`. */
  past<T>(revision: Revision, scope: MeshScope, work: (mesh: MeshView) => T): Promise<T> {
    return this.#pasts.at(revision, scope, work)
  }

  async #revisionAt(time: string): Promise<Revision> {
    try {
      return await this.#options.past.revisionAt(time)
    } catch (error) {
      throw error instanceof CompactedError ? compactedPast(error.requested, error) : error
    }
  }

  #answer(question: Question, after: string | null) {
    const { name, limit } = question
    const key = after === null && limit === undefined ? name : `${name} ${limit ?? ''} ${after ?? ''}`
    return this.#answers.get(key, question.topic, () => render(question, this.#options.mesh, after))
  }

  /** `revision`: that of the list which goes on, if not the present one. */
  #present(
    question: Question,
    after: string | null,
    reply: FastifyReply,
    revision = this.#options.mesh.revision,
  ): void {
    const { rendered } = this.#answer(question, after)
    if (rendered instanceof WaymarkError) throw rendered
    const { request } = reply
    const tag = tagOf(rendered)
    const answer = namesTag(request.headers['if-none-match'], tag)
      ? null
      : prepared(question, rendered, revision)
    if (answer !== null && !this.#closing && sendPrepared(reply, answer)) return
    void reply.header(revisionHeader, revision).header('etag', tag)
    if (answer === null) void reply.code(304).send()
    else void reply.type(jsonType).send(answer.bytes)
  }

  async #past(
    question: Question,
    { revision, after }: { readonly revision: Revision; readonly after: string | null },
    reply: FastifyReply,
  ): Promise<void> {
    const rendered = await this.#pasts.at(revision, question.scope, mesh => {
      void reply.header(revisionHeader, revision)
      return render(question, mesh, after)
    })
    void reply.type(jsonType)
    void reply.send(complete(question, rendered, revision))
  }
}

const render = ({ view }: Question, mesh: MeshView, after: string | null): Rendered => {
  const { body, next = null } = view(mesh, after)
  return { body: Buffer.from(JSON.stringify(body)), next }
}

const tagOf = (rendered: Rendered): string =>
  (rendered.tag ??= weakTag(rendered.body, rendered.next === null ? '' : ` ${rendered.next}`))

/** While nothing is written, all get the same bytes. */
const prepared = (question: Question, rendered: Rendered, revision: Revision): Prepared => {
  if (rendered.prepared?.revision !== revision)
    rendered.prepared = prepare(complete(question, rendered, revision), revision, tagOf(rendered))
  return rendered.prepared
}

/** A list says of which revision it is, and how it goes on; the rest of it is the same for long. */
const complete = (question: Question, { body, next }: Rendered, revision: Revision): Buffer => {
  if (question.head === 'none') return body
  const token = next === null ? null : continueToken({ revision, after: next }, question.name)
  const more = question.head === 'list' ? `"continue":${JSON.stringify(token)},` : ''
  return Buffer.concat([Buffer.from(`{"revision":${revision},${more}`), body.subarray(1)])
}

export const pastDoesNotChange = (): WaymarkError =>
  new WaymarkError('invalid_request', '?index asks for a change of what does not change', {
    fields: [{ pointer: '?index', detail: 'is given', accepted: 'nothing together with at or continue' }],
  })
