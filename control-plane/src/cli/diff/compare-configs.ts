import type { ConfigItem, ConfigKind, ConfigSet } from './config-set.ts'
import { isList, isObject, textIn, type Json, type JsonObject } from './json.ts'

export interface Difference {
  readonly kind: ConfigKind
  readonly name: string
  /** `outlierDetection.interval`, `routes[0].match`; empty: the resource itself. */
  readonly path: string
  readonly what: 'only ours' | 'only theirs' | 'different' | 'order'
  /** Absent where there is nothing on that side. */
  readonly ours?: Json
  readonly theirs?: Json
}

export interface Comparison {
  readonly resources: number
  readonly differences: readonly Difference[]
  readonly notes: readonly string[]
}

/** Compares what a sidecar should have with what it says that it has, field by field. */
export const compareConfigs = (ours: ConfigSet, theirs: ConfigSet): Comparison => {
  const keys = new Set([...ours.items.keys(), ...theirs.items.keys()])
  const found: Difference[] = []
  const notes = [...theirs.notes]
  for (const key of [...keys].sort()) {
    const own = ours.items.get(key)
    const other = theirs.items.get(key)
    const item = own ?? other
    if (item === undefined) continue
    new ItemComparison({ item, found, notes }).compare(own?.config, other?.config, '')
  }
  return { resources: keys.size, differences: found, notes }
}

class ItemComparison {
  readonly #item: ConfigItem
  readonly #found: Difference[]
  readonly #notes: string[]

  constructor(options: { item: ConfigItem; found: Difference[]; notes: string[] }) {
    this.#item = options.item
    this.#found = options.found
    this.#notes = options.notes
  }

  compare(ours: Json | undefined, theirs: Json | undefined, path: string): void {
    if (ours === undefined && theirs === undefined) return
    if (ours === undefined) this.#report(path, 'only theirs', { theirs: theirs ?? null })
    else if (theirs === undefined) this.#report(path, 'only ours', { ours })
    else if (isObject(ours) && isObject(theirs)) this.#objects(ours, theirs, path)
    else if (isList(ours) && isList(theirs)) this.#lists(ours, theirs, path)
    else if (!equalValues(ours, theirs)) this.#values(ours, theirs, path)
  }

  #objects(ours: JsonObject, theirs: JsonObject, path: string): void {
    if (isOpaque(ours) && ours['@type'] === theirs['@type']) {
      this.#notes.push(`${this.#label(path)}: not compared, its type is unknown here`)
      return
    }
    for (const key of [...new Set([...Object.keys(ours), ...Object.keys(theirs)])].sort()) {
      this.compare(ours[key], theirs[key], child(path, key))
    }
  }

  /** Named things are compared by name, so that one more is one difference; all else by place. */
  #lists(ours: readonly Json[], theirs: readonly Json[], path: string): void {
    const ownNames = namesOf(ours)
    const otherNames = namesOf(theirs)
    if (ownNames === undefined || otherNames === undefined) {
      for (let at = 0; at < Math.max(ours.length, theirs.length); at += 1) {
        this.compare(ours[at], theirs[at], `${path}[${at}]`)
      }
      return
    }
    for (const name of new Set([...ownNames, ...otherNames])) {
      const [own, other] = [ownNames.indexOf(name), otherNames.indexOf(name)]
      this.compare(own < 0 ? undefined : ours[own], other < 0 ? undefined : theirs[other], `${path}[${name}]`)
    }
    const common = (names: readonly string[], others: readonly string[]): string =>
      JSON.stringify(names.filter(name => others.includes(name)))
    if (common(ownNames, otherNames) !== common(otherNames, ownNames)) {
      this.#report(path, 'order', { ours: ownNames, theirs: otherNames })
    }
  }

  #values(ours: Json, theirs: Json, path: string): void {
    // Envoy finds hosts unhealthy by itself (outlier detection): that is no configuration.
    if (this.#item.kind === 'endpoints' && path.endsWith('.healthStatus') && theirs === 'UNHEALTHY') {
      this.#notes.push(
        `${this.#label(path)}: UNHEALTHY by Envoy's own judgement; ours is ${JSON.stringify(ours)}`,
      )
      return
    }
    this.#report(path, 'different', { ours, theirs })
  }

  #label(path: string): string {
    return `${this.#item.kind} ${this.#item.name} ${path}`.trimEnd()
  }

  #report(path: string, what: Difference['what'], values: { ours?: Json; theirs?: Json }): void {
    this.#found.push({ kind: this.#item.kind, name: this.#item.name, path, what, ...values })
  }
}

const child = (path: string, key: string): string => {
  if (/^[A-Za-z_]\w*$/.test(key)) return path === '' ? key : `${path}.${key}`
  return `${path}[${key}]`
}

/** An Any whose type this program does not know: its bytes. */
const isOpaque = (value: JsonObject): boolean =>
  Object.keys(value).length === 2 && typeof value['@type'] === 'string' && typeof value['value'] === 'string'

/** The names of a list's elements, if each has one of its own. */
const namesOf = (list: readonly Json[]): string[] | undefined => {
  const names = list.map(element => textIn(element, 'name'))
  return names.includes('') || new Set(names).size < names.length ? undefined : names
}

/** Integers of 64 bits come as text from Envoy; floats of 32 bits come with what doubles add to them. */
const equalValues = (ours: Json, theirs: Json): boolean => {
  if (ours === theirs) return true
  if (typeof ours === 'number' && typeof theirs === 'number')
    // As floats of 32 bits many integers are the same.
    return !(Number.isInteger(ours) && Number.isInteger(theirs)) && Math.fround(ours) === Math.fround(theirs)
  if (typeof ours === 'number' && typeof theirs === 'string') return `${ours}` === theirs
  return typeof ours === 'string' && typeof theirs === 'number' && ours === `${theirs}`
}
