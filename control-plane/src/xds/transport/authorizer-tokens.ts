import { timingSafeEqual } from 'node:crypto'
import { sha256Of } from '../../domain/access-token.ts'

interface Grant {
  readonly digest: Buffer
  readonly services: ReadonlySet<string>
  readonly expiresAt: number
}

const maxEntries = 20_000
const allowedKeys = new Set(['sha256', 'services', 'expires'])

/** What the tokens file says: a JSON list of TokenEntry. */
export class TokenBook {
  readonly #grants: ReadonlyMap<string, Grant>

  /** Throws an error that names the entry. Messages hold nothing of what is in the file. */
  static parse(text: string): TokenBook {
    const entries: unknown = parseJson(text)
    if (!Array.isArray(entries)) throw new Error('the tokens file must be a JSON list of entries')
    if (entries.length > maxEntries) throw new Error(`the tokens file has more than ${maxEntries} entries`)
    const grants = entries.map((entry: unknown, index) => readEntry(entry, index))
    return new TokenBook(new Map(grants.map(grant => [grant.digest.toString('hex'), grant])))
  }

  private constructor(grants: ReadonlyMap<string, Grant>) {
    this.#grants = grants
  }

  /** The services that a token covers at `now` (ms since the epoch); undefined: no token of ours, or expired. */
  find(token: string, now: number): ReadonlySet<string> | undefined {
    // The table is searched by digest, of which a client cannot choose a part; how long that takes tells nothing
    // about a token. The digests are then compared in constant time.
    const digest = sha256Of(token)
    const grant = this.#grants.get(digest.toString('hex'))
    if (grant === undefined || !timingSafeEqual(grant.digest, digest)) return undefined
    return now < grant.expiresAt ? grant.services : undefined
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('the tokens file is not JSON')
  }
}

function readEntry(entry: unknown, index: number): Grant {
  const wrong = (reason: string): Error => new Error(`entry ${index + 1} of the tokens file: ${reason}`)
  if (typeof entry !== 'object' || entry === null) throw wrong('is no object')
  if (!Object.keys(entry).every(key => allowedKeys.has(key))) throw wrong('has a field that does not exist')
  const { sha256: digest, services, expires } = entry as Readonly<Record<string, unknown>>
  if (typeof digest !== 'string' || !/^[0-9a-f]{64}$/i.test(digest))
    throw wrong('sha256 is not 64 hex digits')
  if (!Array.isArray(services) || services.length === 0) throw wrong('services is no list of names')
  const names = services.map((name: unknown) => {
    if (typeof name === 'string' && name !== '') return name
    throw wrong('services has an entry that is no name')
  })
  const expiresAt =
    typeof expires === 'string' && /^\d{4}-\d\d-\d\d/.test(expires) ? Date.parse(expires) : NaN
  if (Number.isNaN(expiresAt)) throw wrong('expires is no time, such as 2030-01-31T00:00:00Z')
  return { digest: Buffer.from(digest, 'hex'), services: new Set(names), expiresAt }
}
