import { NameTable } from './name-table.ts'

/** Values of 32 names with neighbouring numbers. Never written to again once a second map may have it. */
type Chunk<V> = readonly (V | undefined)[]

const chunkBits = 5
const chunkSize = 1 << chunkBits
const lastSlot = chunkSize - 1

const defaultSmallest = 64

/** This share of `smallest` to a chunk makes chunks smaller than a list. */
const worthwhile = 1 / 8

/** Chunks of the same place that are remembered: as many versions of one place as may be under way together. */
const recentChunks = 4

/**
 * What maps over the same kind of names have in common: the numbers of the names, and for each place the last chunks
 * made, in which a map looks for an equal of its own.
 */
export class SharedChunks<V> {
  readonly names = new NameTable()
  /** Below, a map is a list: its entries are few, and seldom the same as those of another. */
  readonly smallest: number
  readonly #recent: Chunk<V>[][] = []

  constructor({ smallest = defaultSmallest }: { smallest?: number } = {}) {
    this.smallest = smallest
  }

  /** The chunk itself, or an equal one that other maps have already. */
  share(place: number, chunk: Chunk<V>): Chunk<V> {
    const recent = (this.#recent[place] ??= [])
    for (const other of recent) if (equal(other, chunk)) return other
    recent.unshift(chunk)
    if (recent.length > recentChunks) recent.pop()
    return chunk
  }

  /** The last map that used them has given up its names: nobody will look for these chunks. */
  forgetIfUnused(): void {
    if (this.names.size === 0) this.#recent.length = 0
  }
}

/** What may be read of a shared map. */
export interface ReadonlySharedMap<V> extends Iterable<[string, V]> {
  readonly size: number
  /** Entries whose value is null; kept while writing. */
  readonly nulls: number
  get(name: string): V | undefined
  has(name: string): boolean
  keys(): Iterable<string>
  values(): Iterable<V>
}

/**
 * A map from names to values for the case of thousands of maps with nearly equal content: what each stream holds of
 * the same thousand resources. Chunks with equal content are one object, so that an entry costs a fraction of a
 * byte where all agree, and about 11 bytes where none do. A small map is a list of names by number and one of values: a
 * `Map` of twenty takes 930 bytes, these take 420, and they are looked through as fast.
 *
 * Writing copies one chunk, which belongs to this map until `share`. Values are compared by identity.
 */
export class SharedMap<V> implements ReadonlySharedMap<V> {
  readonly #shared: SharedChunks<V>
  /** The numbers of the names, and their values in the same order; empty when there are chunks. */
  #ids = noIds
  #values: V[] = noValues
  #chunks: (Chunk<V> | undefined)[] | undefined
  /** Chunks that belong to this map alone, by place. */
  #own: Map<number, (V | undefined)[]> | undefined
  /** Of the chunks. */
  #size = 0
  #nulls = 0
  /** The lists have more room than entries. */
  #grown = false

  constructor(shared: SharedChunks<V>) {
    this.#shared = shared
  }

  get size(): number {
    return this.#chunks === undefined ? this.#ids.length : this.#size
  }

  get nulls(): number {
    return this.#nulls
  }

  get(name: string): V | undefined {
    if (this.#chunks === undefined && this.#ids.length === 0) return undefined
    const id = this.#shared.names.find(name)
    return id === undefined ? undefined : this.#value(id)
  }

  has(name: string): boolean {
    return this.get(name) !== undefined
  }

  set(name: string, value: V): this {
    const { names } = this.#shared
    const known = names.find(name)
    const before = known === undefined ? undefined : this.#value(known)
    if (before === value) return this
    this.#countNulls(before, value)
    const id = known !== undefined && before !== undefined ? known : names.use(name)
    if (this.#chunks !== undefined) {
      if (before === undefined) this.#size += 1
      this.#write(id, value)
    } else if (before === undefined) this.#append(id, value)
    else this.#values[this.#ids.indexOf(id)] = value
    return this
  }

  delete(name: string): boolean {
    const id = this.#shared.names.find(name)
    const before = id === undefined ? undefined : this.#value(id)
    if (id === undefined || before === undefined) return false
    this.#countNulls(before, undefined)
    if (this.#chunks === undefined) this.#remove(this.#ids.indexOf(id))
    else {
      this.#write(id, undefined)
      this.#size -= 1
      if (this.#size < this.#shared.smallest / 2) this.#gather()
    }
    this.#shared.names.release(id)
    return true
  }

  /** Gives up all entries, and with them the numbers of their names. Must be called when the map is no longer used. */
  clear(): void {
    for (const [id] of this.#entries()) this.#shared.names.release(id)
    this.#shared.forgetIfUnused()
    this.#ids = noIds
    this.#values = noValues
    this.#chunks = undefined
    this.#own = undefined
    this.#size = 0
    this.#nulls = 0
  }

  /**
   * To be called after a batch of writes: chunks that have become equal to those of others become theirs, lists give
   * back the room that they have grown in.
   */
  share(): void {
    if (this.#grown) {
      this.#ids = this.#ids.slice()
      this.#values = this.#values.slice()
      this.#grown = false
    }
    if (this.#own === undefined || this.#chunks === undefined) return
    for (const [place, chunk] of this.#own) this.#chunks[place] = this.#shared.share(place, chunk)
    this.#own = undefined
  }

  *keys(): Generator<string> {
    for (const [name] of this) yield name
  }

  *values(): Generator<V> {
    for (const [, value] of this) yield value
  }

  /** In no particular order. The map must not be changed meanwhile. */
  *[Symbol.iterator](): Generator<[string, V]> {
    for (const [id, value] of this.#entries()) yield [this.#shared.names.name(id), value]
  }

  *#entries(): Generator<[number, V]> {
    for (const [at, id] of this.#ids.entries()) {
      const value = this.#values[at]
      if (value !== undefined) yield [id, value]
    }
    for (const [place, chunk] of this.#chunks?.entries() ?? []) {
      for (const [slot, value] of chunk?.entries() ?? [])
        if (value !== undefined) yield [(place << chunkBits) | slot, value]
    }
  }

  #value(id: number): V | undefined {
    if (this.#chunks !== undefined) return this.#chunks[id >> chunkBits]?.[id & lastSlot]
    const at = this.#ids.indexOf(id)
    return at < 0 ? undefined : this.#values[at]
  }

  #countNulls(before: V | undefined, after: V | undefined): void {
    if (before === null) this.#nulls -= 1
    if (after === null) this.#nulls += 1
  }

  #append(id: number, value: V): void {
    if (this.#ids.length === 0) {
      this.#ids = [id]
      this.#values = [value]
      return
    }
    this.#grown = true
    const size = this.#ids.push(id)
    this.#values.push(value)
    // Looked at each time the size has doubled.
    if (size >= this.#shared.smallest && (size & (size - 1)) === 0) this.#spread()
  }

  #remove(at: number): void {
    const [lastId, lastValue] = [this.#ids.pop(), this.#values.pop()]
    if (at === this.#ids.length || lastId === undefined || lastValue === undefined) return
    this.#ids[at] = lastId
    this.#values[at] = lastValue
  }

  #write(id: number, value: V | undefined): void {
    const place = id >> chunkBits
    const own = (this.#own ??= new Map<number, (V | undefined)[]>())
    let chunk = own.get(place)
    if (chunk === undefined) {
      const before = this.#chunks?.[place]
      chunk = before === undefined ? emptyChunk<V>() : [...before]
      own.set(place, chunk)
      const chunks = (this.#chunks ??= [])
      while (chunks.length < place) chunks.push(undefined)
      chunks[place] = chunk
    }
    chunk[id & lastSlot] = value
  }

  /** From a list to chunks, where that pays. */
  #spread(): void {
    const [ids, values] = [this.#ids, this.#values]
    const places = new Set(ids.map(id => id >> chunkBits))
    if (ids.length < this.#shared.smallest * worthwhile * places.size) return
    this.#ids = noIds
    this.#values = noValues
    this.#grown = false
    this.#chunks = []
    this.#size = ids.length
    for (const [at, id] of ids.entries()) this.#write(id, values[at])
  }

  #gather(): void {
    const entries = [...this.#entries()]
    this.#chunks = undefined
    this.#own = undefined
    this.#size = 0
    this.#ids = entries.map(([id]) => id)
    this.#values = entries.map(([, value]) => value)
  }
}

/** Of every empty map; never written to. */
const noIds: number[] = []
const noValues: never[] = []

const emptyChunk = <V>(): (V | undefined)[] => new Array<V | undefined>(chunkSize).fill(undefined)

function equal(one: Chunk<unknown>, two: Chunk<unknown>): boolean {
  for (let slot = 0; slot < chunkSize; slot += 1) if (one[slot] !== two[slot]) return false
  return true
}
