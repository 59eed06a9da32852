import { WaymarkError } from '../../domain/errors.ts'
import type { Revision } from '../../domain/revision.ts'
import type { Prepared } from './send-prepared.ts'
import type { Topic, Touches } from './topic.ts'

/** What a read answers, but for what it says of the revision. */
export interface Rendered {
  /** JSON of an object, as UTF-8. */
  readonly body: Buffer
  /** Where the next page begins; null: this is all. */
  readonly next: string | null
  /** Its ETag, once somebody has asked for it. */
  tag?: string
  /** What was last sent of it. */
  prepared?: Prepared
}

export interface Answer {
  /** Or why there is none. */
  readonly rendered: Rendered | WaymarkError
  /** It has not changed since this revision; never earlier than its last change. */
  readonly since: Revision
}

interface Entry extends Answer {
  /** The mesh revision when it was last compared. */
  checkedAt: Revision
  /** Asked for since it was last looked at for want of room. */
  used: boolean
}

/** About, an error with its stack. */
const errorSize = 2_048

/** About: the question, and the bytes as they were made, as they are sent, and compressed. */
const sizeOf = (question: string, { rendered }: Answer): number =>
  256 + question.length + (rendered instanceof WaymarkError ? errorSize : 3 * rendered.body.length)

const equal = (a: Answer['rendered'], b: Answer['rendered']): boolean => {
  if (a instanceof WaymarkError || b instanceof WaymarkError)
    return a instanceof WaymarkError && b instanceof WaymarkError && a.code === b.code
  return a.next === b.next && a.body.equals(b.body)
}

interface CacheOptions {
  readonly maxBytes: number
  /** Of the mesh state. */
  readonly revision: () => Revision
  readonly touches: (topic: Topic) => Touches
}

/**
 * Answers as bytes, one for each distinct question: made once for all who ask, and made anew only after a change of
 * what they depend on. Knows since when an answer is what it is, so that those who wait for it to change are not
 * woken by what leaves it as it was. Those that nobody asks for go first.
 */
export class AnswerCache {
  readonly #options: CacheOptions
  /** By question, roughly in the order in which they were asked. */
  readonly #entries = new Map<string, Entry>()
  #bytes = 0

  constructor(options: CacheOptions) {
    this.#options = options
  }

  /** `render` is called when nothing is known; what it refuses with (WaymarkError) is an answer, too. */
  get(question: string, topic: Topic, render: () => Rendered): Answer {
    const known = this.#entries.get(question)
    const { last, previous } = this.#options.touches(topic)
    if (known !== undefined && known.checkedAt >= last) {
      known.used = true
      return known
    }
    const rendered = attempt(render)
    const checkedAt = this.#options.revision()
    // After two changes it may be the same again, and have been another in between.
    const same = known !== undefined && known.checkedAt >= previous && equal(known.rendered, rendered)
    const entry: Entry = same ? known : { rendered, since: last, checkedAt, used: true }
    entry.checkedAt = checkedAt
    entry.used = true
    this.#bytes += sizeOf(question, entry) - (known === undefined ? 0 : sizeOf(question, known))
    this.#entries.delete(question)
    this.#entries.set(question, entry)
    this.#shrink()
    return entry
  }

  /** After the mesh has been read anew from a snapshot, revisions may mean something else. */
  clear(): void {
    this.#entries.clear()
    this.#bytes = 0
  }

  /** What has been asked for since gets another round: an order of every question would cost each of them. */
  #shrink(): void {
    for (const [question, entry] of this.#entries) {
      if (this.#bytes <= this.#options.maxBytes || this.#entries.size === 1) return
      this.#entries.delete(question)
      if (entry.used) {
        entry.used = false
        this.#entries.set(question, entry)
      } else this.#bytes -= sizeOf(question, entry)
    }
  }
}

const attempt = (render: () => Rendered): Answer['rendered'] => {
  try {
    return render()
  } catch (error) {
    if (error instanceof WaymarkError) return error
    throw error
  }
}
