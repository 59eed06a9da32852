import type { DocumentView } from '@waymark/control-plane/rest/schemas/document.ts'
import type { ItemState, Precondition } from './history.ts'
import { documentKey, documentState, specs } from './reduce.ts'
import type { Session, Turn } from './session.ts'

const kinds = ['Service', 'TrafficPolicy'] as const

const statesIn = (body: unknown): Record<string, ItemState> => {
  const { documents } = body as { documents?: readonly DocumentView[] }
  const all = documents ?? [body as DocumentView]
  return Object.fromEntries(all.map(one => [documentKey(one), documentState(one)]))
}

const preconditionHeaders = (ifMatch: Precondition): Readonly<Record<string, string>> => {
  if (ifMatch === null) return {}
  return ifMatch === 'absent' ? { 'if-none-match': '*' } : { 'if-match': `"${ifMatch}"` }
}

interface Read {
  readonly query?: string
  readonly minRevision?: number | null
  /** Of the past. */
  readonly at?: number
  readonly unless?: number | null
}

/** What a client knows of documents, and what it does with them. */
export class DocumentClient {
  readonly #session: Session
  /** The last version that it was told of, by key: often one that others have replaced. */
  readonly #known = new Map<string, ItemState>()

  constructor(session: Session) {
    this.#session = session
  }

  /** Something that a client does with documents; whether it failed. All chance is drawn before the first answer. */
  async wish(turn: Turn): Promise<boolean> {
    const { random, pinned, seen } = this.#session
    const kind = this.#session.pick(kinds)
    const key = `${kind}/${turn.service}`
    const [choice, deletes, back, one] = [random(), random() < 0.3, random(), random() < 0.3]
    const known = this.#known.get(key) ?? null
    const change = (ifMatch: Precondition) =>
      deletes ? this.#delete(turn, key, ifMatch) : this.#apply(turn, key, turn.id, ifMatch)
    const least = pinned ? null : seen
    const fresh = { query: least === null ? '' : `minRevision=${least}`, minRevision: least }
    if (choice < 0.2) return change(null)
    if (choice < 0.28) return this.#apply(turn, key, turn.id, 'absent')
    // What somebody has written already, and may still hold: then nothing changes.
    if (choice < 0.34) return this.#apply(turn, key, known?.mark ?? turn.id, null)
    if (choice < 0.42) return change(known?.revision ?? 'absent')
    if (choice < 0.6) {
      // Reads, and changes just that.
      if (await this.#read({ ...turn, id: `${turn.id}-read` }, key, fresh)) return true
      const version = this.#known.get(key)?.revision
      return version === undefined ? this.#apply(turn, key, turn.id, 'absent') : change(version)
    }
    if (choice < 0.7) return this.#read(turn, key, fresh)
    if (choice < 0.76) return this.#read(turn, key, { ...fresh, unless: known?.revision ?? null })
    if (choice < 0.84) return this.#read(turn, key, { query: `index=${seen}&wait=300ms`, minRevision: seen })
    if (choice < 0.9) return this.#read(turn, one ? key : null, { at: Math.floor(back * (seen + 1)) })
    return this.#read(turn, null, fresh)
  }

  async #apply(turn: Turn, key: string, mark: string, ifMatch: Precondition): Promise<boolean> {
    const spec = key.startsWith('Service/') ? specs.Service(mark) : specs.TrafficPolicy(mark)
    const { common, etag, failed } = await this.#session.ask(turn, {
      method: 'PUT',
      path: `/documents/${key}`,
      headers: preconditionHeaders(ifMatch),
      body: { spec },
    })
    this.#session.record({ ...common, kind: 'apply', key, mark, ifMatch, etag })
    if (etag !== null) this.#known.set(key, { revision: etag, mark, override: null })
    return failed
  }

  async #delete(turn: Turn, key: string, ifMatch: Precondition): Promise<boolean> {
    const { common, etag, failed } = await this.#session.ask(turn, {
      method: 'DELETE',
      path: `/documents/${key}`,
      headers: preconditionHeaders(ifMatch),
    })
    this.#session.record({ ...common, kind: 'delete', key, mark: turn.id, ifMatch, etag })
    if (common.status === 204 || common.status === 404) this.#known.delete(key)
    return failed
  }

  /** `key` null: a list of all. */
  async #read(turn: Turn, key: string | null, read: Read): Promise<boolean> {
    const { query = '', minRevision = null, at = null, unless = null } = read
    const { common, body, failed } = await this.#session.ask(turn, {
      method: 'GET',
      path: `/documents${key === null ? '' : `/${key}`}?${at === null ? query : `at=${at}`}`,
      headers: unless === null ? {} : { 'if-none-match': `"${unless}"` },
    })
    const { status, revision } = common
    const seen = status === 200 ? statesIn(body) : {}
    this.#session.record({
      ...common,
      kind: 'read',
      groups: kinds,
      key,
      minRevision,
      unless,
      monotonic: at === null && (this.#session.pinned || minRevision !== null),
      seen,
      revision: at !== null && revision !== null ? at : revision,
    })
    if (at !== null) return failed
    if (key !== null && status === 404) this.#known.delete(key)
    for (const [of, state] of Object.entries(seen)) this.#known.set(of, state)
    return failed
  }
}
