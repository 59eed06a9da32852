import { isAbsolute } from 'node:path'
import { acceptedSecret, parseWebhookSecret } from './webhook-signature.ts'

interface Common {
  /** Names the sink's cursor: a renamed sink is a new one. */
  readonly name: string
  /** Where a sink begins that has never been given anything: with the oldest change kept, or with the next one. */
  readonly start: 'oldest' | 'now'
}

export interface StdoutConfig extends Common {
  readonly kind: 'stdout'
}

export interface FileConfig extends Common {
  readonly kind: 'file'
  readonly path: string
}

export interface WebhookConfig extends Common {
  readonly kind: 'webhook'
  readonly url: URL
  readonly keys: readonly Buffer[]
  readonly batch: boolean
  readonly timeoutMs: number
}

export type SinkConfig = StdoutConfig | FileConfig | WebhookConfig

export interface SinkProblem {
  readonly variable: string
  readonly problem: string
  readonly accepted: string
}

export interface ParsedSinks {
  readonly sinks: readonly SinkConfig[]
  /** Empty, or the sinks are not to be used. */
  readonly problems: readonly SinkProblem[]
}

export type Environment = Readonly<Record<string, string | undefined>>

/** One sink as written, before it is judged. */
interface Entry {
  readonly name: string
  readonly target: string
  readonly start: 'oldest' | 'now'
  readonly batch: boolean
  readonly timeoutMs: number
}

const variable = 'WAYMARK_SINKS'
const sinkLimit = 16
const namePattern = /^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$/
const defaults = { start: 'oldest', batch: false, timeoutMs: 15_000 } as const
const acceptedNames = 'a name of up to 40 lower-case letters, digits and "-"'
const acceptedTargets = 'stdout, file:/absolute/path, http://... or https://...'
const acceptedEntry =
  'an object with "name", "target" and perhaps "start" ("oldest" or "now"), "batch" (true or false) and "timeoutMs" (100 to 60000)'

/** Where the secret of a webhook is looked for. */
export const secretVariable = (name: string): string =>
  `WAYMARK_SINK_${name.toUpperCase().replaceAll('-', '_')}_SECRET`

/**
 * Reads WAYMARK_SINKS: a list `name=target`, separated by spaces or commas, or a JSON array of objects. Secrets
 * are read from variables of their own and never appear in a problem. Pure.
 */
export const parseSinks = (environment: Environment): ParsedSinks => {
  const text = environment[variable]?.trim() ?? ''
  if (text === '') return { sinks: [], problems: [] }
  const problems: SinkProblem[] = []
  const entries = text.startsWith('[') ? fromJson(text, problems) : fromList(text)
  if (entries.length > sinkLimit) {
    problems.push({ variable, problem: `has ${entries.length} sinks`, accepted: `at most ${sinkLimit}` })
  }
  const names = new Set<string>()
  const sinks: SinkConfig[] = []
  for (const entry of entries) {
    if (names.has(entry.name)) {
      problems.push({
        variable,
        problem: `names "${entry.name}" twice`,
        accepted: 'a name of its own for each sink',
      })
    }
    names.add(entry.name)
    const sink = toSink(entry, environment, problems)
    if (sink !== null) sinks.push(sink)
  }
  return { sinks, problems }
}

const fromList = (text: string): Entry[] =>
  text
    .split(/[\s,]+/)
    .filter(item => item !== '')
    .map(item => {
      const [, name, target] = /^([^=:/]*)=(.*)$/.exec(item) ?? []
      if (name !== undefined && target !== undefined) return { ...defaults, name, target }
      return { ...defaults, name: item === 'stdout' ? item : '', target: item }
    })

const fromJson = (text: string, problems: SinkProblem[]): Entry[] => {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    problems.push({
      variable,
      problem: 'begins like JSON but is none',
      accepted: `a JSON array of ${acceptedEntry}`,
    })
    return []
  }
  const items: readonly unknown[] = Array.isArray(parsed) ? parsed : [parsed]
  return items.flatMap((item, index) => {
    const entry = toEntry(item)
    if (typeof entry !== 'string') return [entry]
    problems.push({ variable, problem: `[${index}]: ${entry}`, accepted: acceptedEntry })
    return []
  })
}

/** The entry, or what is wrong with it. */
const toEntry = (item: unknown): Entry | string => {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return 'is not an object'
  const { name, target, start, batch, timeoutMs, ...unknown } = { ...defaults, ...item } as Record<
    string,
    unknown
  >
  const odd = Object.keys(unknown)
  if (odd.length > 0) return `unknown field ${odd.map(key => JSON.stringify(key)).join(', ')}`
  if (typeof name !== 'string') return '"name" is not a string'
  if (typeof target !== 'string') return '"target" is not a string'
  if (start !== 'oldest' && start !== 'now') return '"start" is neither "oldest" nor "now"'
  if (typeof batch !== 'boolean') return '"batch" is not true or false'
  if (
    typeof timeoutMs !== 'number' ||
    !Number.isInteger(timeoutMs) ||
    timeoutMs < 100 ||
    timeoutMs > 60_000
  ) {
    return '"timeoutMs" is not a whole number from 100 to 60000'
  }
  return { name, target, start, batch, timeoutMs }
}

const toSink = (entry: Entry, environment: Environment, problems: SinkProblem[]): SinkConfig | null => {
  const { name, target, start } = entry
  const wrong = (problem: string, accepted: string, where = variable): null => {
    problems.push({ variable: where, problem, accepted })
    return null
  }
  // A target may hold a token, so a problem shows no more than its kind.
  if (name === '')
    return wrong('has a sink without a name', `name=target, for example audit=file:/var/log/waymark.ndjson`)
  if (!namePattern.test(name)) return wrong(`"${name}" cannot name a sink`, acceptedNames)
  if (target === 'stdout') return { kind: 'stdout', name, start }
  if (target.startsWith('file:')) {
    const path = target.slice('file:'.length).replace(/^\/\/(?=\/)/, '')
    if (isAbsolute(path) && !path.endsWith('/') && !path.includes('\0'))
      return { kind: 'file', name, start, path }
    return wrong(`${name}: the file has no absolute path`, 'file:/absolute/path')
  }
  const url = /^https?:\/\//.test(target) && URL.canParse(target) ? new URL(target) : null
  if (url === null) return wrong(`${name}: its target is of no known kind`, acceptedTargets)
  if (url.username !== '' || url.password !== '') {
    return wrong(
      `${name}: its URL has a user or a password in it`,
      'a URL without; the signature shows who sends',
    )
  }
  const secrets = secretVariable(name)
  const texts = environment[secrets]?.split(/[\s,]+/).filter(text => text !== '') ?? []
  if (texts.length === 0) return wrong(`is not set, and ${name} has to be signed`, acceptedSecret, secrets)
  const keys = texts.map(parseWebhookSecret)
  if (keys.length > 4 || !keys.every(key => key !== null)) {
    return wrong(
      'has something that is not a secret',
      `up to 4, separated by spaces, each ${acceptedSecret}`,
      secrets,
    )
  }
  return { kind: 'webhook', name, start, url, keys, batch: entry.batch, timeoutMs: entry.timeoutMs }
}
