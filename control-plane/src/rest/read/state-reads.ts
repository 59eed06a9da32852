import type { FastifyReply } from 'fastify'
import { WaymarkError } from '../../domain/errors.ts'
import type { MeshScope } from '../../domain/mesh-scope.ts'
import { CompactedError, type Revision } from '../../domain/revision.ts'
import type { MeshState } from '../../mesh/mesh-state.ts'
import type { MeshView } from '../../mesh/mesh-view.ts'
import { goneSignal, revisionHeader } from '../exchange.ts'
import { heldSince, weakTag } from '../etag.ts'
import type { RestLimits } from '../limits.ts'
import type { PastReader } from '../ports.ts'
import type { ReadGate, ReadQuery } from '../read-gate.ts'
import { AnswerCache, type Rendered } from './answer-cache.ts'
import { notYet, parseMoment } from './moment.ts'
import { continueToken, placeOf, type PageQuery } from './page.ts'
import { compactedPast, PastStates } from './past-states.ts'
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

const jsonType = 'application/json; charset=utf-8'

/**
 * Answers every question about the state in the same way: from memory at once, after a revision (`minRevision`), after
 * a change (`index`, `wait`), as of a moment (`at`), or as the next page of a list (`continue`).
 */
export class StateReads {
  readonly #options: Options
  readonly #answers: AnswerCache
  readonly #pasts: PastStates
  readonly #unsubscribe: () => void

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

  close(): void {
    this.#unsubscribe()
    this.#pasts.close()
  }

  /** Sends the answer, or the error: nobody waits for it. Throws what is wrong at once. */
  send(question: Question, query: StateQuery, reply: FastifyReply): void {
    const { gate } = this.#options
    gate.ready()
    const { minRevision, index, wait, at, continue: token } = query
    const atOnce = (at ?? minRevision ?? index ?? wait ?? token) === undefined
    if (atOnce && question.present === undefined) {
      this.#present(question, null, reply)
      return
    }
    this.#later(question, query, reply).catch((error: unknown) => {
      void reply.send(error)
    })
  }

  async #later(question: Question, query: StateQuery, reply: FastifyReply): Promise<void> {
    const { gate } = this.#options
    const { minRevision, index, at, continue: token } = query
    const waitMs = gate.waitMs(query.wait)
    const gone = (): AbortSignal => goneSignal(reply)
    if (index !== undefined && (at ?? token) !== undefined) throw pastDoesNotChange()
    if (minRevision !== undefined) await gate.reach(minRevision, waitMs, gone)
    if (token !== undefined) {
      const { revision, after } = placeOf(token, question.name)
      await gate.reach(revision, waitMs, gone)
      if (gate.changedAt(question.topic) <= revision) this.#present(question, after, reply, revision)
      else await this.#past(question, { revision, after }, reply)
    } else if (at !== undefined) {
      const revision = await this.#moment(at, waitMs, gone)
      await this.#past(question, { revision, after: null }, reply)
    } else {
      if (index !== undefined) {
        const since = (): Revision => this.#answer(question, null).since
        await gate.changed({ topic: question.topic, index, since, waitMs, gone })
      }
      if (question.present === undefined) this.#present(question, null, reply)
      else void reply.send(await question.present())
    }
  }

  async #moment(at: string, waitMs: number, gone: () => AbortSignal): Promise<Revision> {
    const { gate, mesh, past } = this.#options
    const moment = parseMoment(at)
    const revision = 'revision' in moment ? moment.revision : await this.#revisionAt(moment.time)
    if (revision > mesh.revision) {
      const { head } = await past.bounds()
      if (revision > head) throw notYet(revision, head)
      await gate.reach(revision, waitMs, gone)
    }
    return revision
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
    const { rendered, since } = this.#answer(question, after)
    if (rendered instanceof WaymarkError) throw rendered
    void reply.header(revisionHeader, revision).header('etag', weakTag(since))
    if (heldSince(reply.request.headers['if-none-match'], { since, revision })) void reply.code(304).send()
    else void reply.type(jsonType).send(complete(question, rendered, revision))
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

/**
 * A list says of which revision it is, and how it goes on; the rest of it is the same for long. While nothing is
 * written, all get the same bytes.
 */
const complete = (question: Question, rendered: Rendered, revision: Revision): Buffer => {
  if (question.head === 'none') return rendered.body
  if (rendered.complete?.revision === revision) return rendered.complete.bytes
  const { body, next } = rendered
  const token = next === null ? null : continueToken({ revision, after: next }, question.name)
  const more = question.head === 'list' ? `"continue":${JSON.stringify(token)},` : ''
  const bytes = Buffer.concat([Buffer.from(`{"revision":${revision},${more}`), body.subarray(1)])
  rendered.complete = { revision, bytes }
  return bytes
}

const pastDoesNotChange = (): WaymarkError =>
  new WaymarkError('invalid_request', '?index asks for a change of what does not change', {
    fields: [{ pointer: '?index', detail: 'is given', accepted: 'nothing together with at or continue' }],
  })
